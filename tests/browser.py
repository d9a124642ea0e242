"""A headless Chromium, spoken to over a pipe."""

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)
# Events that a page without fault does not cause.
COMPLAINTS = (
    "Log.entryAdded",
    "Runtime.consoleAPICalled",
    "Runtime.exceptionThrown",
    "Network.loadingFailed",
)
_SECONDS = 60
# Chromium reads commands from 3 and writes to 4.
_START = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]]
for end, number in zip(ends, (3, 4)):
    os.dup2(end, number)
os.execvp(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """One tab."""

    def __init__(self, read, write):
        self.read, self.write, self.rest, self.number = read, write, b"", 0
        self.events = []
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        attached = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    session = None

    def ask(self, method, **params):
        """The result of a command; events that come before it are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while True:
            found = self._message()
            if found.get("id") == self.number:
                assert "error" not in found, found
                return found["result"]
            self.events.append(found)

    def _message(self):
        end = time.monotonic() + _SECONDS
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.read], [], [], end - time.monotonic())
            assert ready, "the browser does not answer"
            self.rest += os.read(self.read, 2**20)
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def open(self, path, width):
        """Shows a file in a window so wide; returns the events until it is loaded."""
        self.events = []
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=False,
        )
        self.ask("Page.navigate", url=path.absolute().as_uri())
        while not any(e["method"] == "Page.loadEventFired" for e in self.events):
            self.events.append(self._message())
        return self.events

    def value(self, expression):
        """What a JavaScript expression comes to in the page."""
        return self.ask("Runtime.evaluate", expression=expression, returnByValue=True)[
            "result"
        ]["value"]

    def screenshot(self):
        """The whole page as a PNG."""
        found = self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        return base64.b64decode(found["data"])


@contextlib.contextmanager
def browser(profile):
    """A context of a `Browser` whose files lie in the folder `profile`."""
    there, here = os.pipe(), os.pipe()
    command = (
        *(sys.executable, "-c", _START, str(there[0]), str(here[1])),
        *(CHROMIUM, "--headless", "--no-sandbox"),
        *("--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe"),
        *("--no-first-run", f"--user-data-dir={profile}"),
    )
    process = subprocess.Popen(
        command,
        pass_fds=(there[0], here[1]),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(there[0])
    os.close(here[1])
    try:
        tab = Browser(here[0], there[1])
        yield tab
        tab.session = None
        tab.ask("Browser.close")
        process.wait(_SECONDS)
    finally:
        process.kill()
        process.wait()
        os.close(here[0])
        os.close(there[1])


def requests(events):
    """The addresses that were asked for."""
    return [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
