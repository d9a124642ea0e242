"""A server of one network, from what every Python has and predict_in_onnx.py.

python examples/server.py RUN/export/photo.onnx 8000
curl --data-binary @photo.jpg http://localhost:8000
"""

import http.server
import io
import json
import sys

import predict_in_onnx

MOST_BYTES = 2**25


def handler(network):
    """What answers a POST of an image file with its surest classes, in JSON."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            size = self.headers.get("Content-Length", "")
            if not size.isdecimal() or not 0 < int(size) <= MOST_BYTES:
                return self.send_error(413, f"an image of at most {MOST_BYTES} bytes")
            try:
                file = io.BytesIO(self.rfile.read(int(size)))
                answer = predict_in_onnx.predict(network, file)
            except Exception as error:  # of decoders, which share no base class
                return self.send_error(400, "no image", str(error))
            body = json.dumps([{"class": name, "p": p} for name, p in answer]).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    return Handler


if __name__ == "__main__":
    path, port = sys.argv[1], int(sys.argv[2])
    network = predict_in_onnx.load(path)
    # Of this machine only; what is to be seen from others belongs behind a real server.
    with http.server.ThreadingHTTPServer(("localhost", port), handler(network)) as here:
        here.serve_forever()
