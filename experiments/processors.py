"""Whether another processor, or fewer of its instructions, gives the same bits.

    python experiments/processors.py --out processors.json
    python experiments/processors.py --settings "as it is" --out emulated.json \
        --emulator qemu-x86_64-static --models Haswell

Small programs of the kinds that a run is made of are compiled and run once under every
setting, each in a process of its own; told are the hashes of their results. An emulated
processor is another one as far as a program can ask, and the emulator computes what a
manual leaves open (the approximate inverse square root) in its own way, as every maker
does. Emulation is many times slower, so the programs are small.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from ltjax import machine
from ltjax.mistake import Mistake
from ltjax.models import root
from ltjax.runtime.command import exit_code
from ltjax.workdir import versions
from ltjax.workdir.files import write_json

SETTINGS = {
    "as it is": "",
    "AVX2": "--xla_cpu_max_isa=AVX2",
    "AVX": "--xla_cpu_max_isa=AVX",
    "SSE4_2": "--xla_cpu_max_isa=SSE4_2",
    "vectors of 128 bits": "--xla_cpu_prefer_vector_width=128",
    "a thread per operation": "--xla_cpu_multi_thread_eigen=false",
}


def programs():
    """{name: (function, arguments)}, in the order in which they are run."""
    rng = np.random.default_rng(0)

    def normal(*shape):
        return rng.standard_normal(shape).astype(np.float32)

    vector, images, kernel = (
        np.abs(normal(5000)),
        normal(8, 16, 16, 8),
        normal(3, 3, 8, 8),
    )

    def convolved(images, kernel):
        numbers = "NHWC", "HWIO", "NHWC"
        return jax.lax.conv_general_dilated(
            images, kernel, (1, 1), "SAME", dimension_numbers=numbers
        )

    def normalised(inverse, x):
        x = x - x.mean((0, 1, 2))[None, None, None]
        square = jnp.square(x).mean((0, 1, 2))
        return x * inverse(square + 1e-5)[None, None, None]

    def gradient(inverse):
        def loss(kernel, images):
            x = jax.nn.relu(normalised(inverse, convolved(images, kernel)))
            return -jax.nn.log_softmax(x.mean((1, 2)))[:, 0].mean()

        return jax.grad(loss)

    return {
        "exp": (jnp.exp, (vector,)),
        "rsqrt": (jax.lax.rsqrt, (vector,)),
        "root.inverse": (root.inverse, (vector,)),
        "vector / sqrt": (lambda x, y: x / jnp.sqrt(y), (vector, np.float32(7))),
        "matrix product": (jnp.matmul, (normal(96, 200), normal(200, 64))),
        "convolution": (convolved, (images, kernel)),
        "gradient, rsqrt": (gradient(jax.lax.rsqrt), (kernel, images)),
        "gradient, root.inverse": (gradient(root.inverse), (kernel, images)),
        "NumPy's matrix product": (None, (normal(96, 200), normal(200, 64))),
    }


def digests():
    """{program: the hash of its result}, computed here."""
    found = {}
    for name, (function, args) in programs().items():
        value = args[0] @ args[1] if function is None else jax.jit(function)(*args)
        content = np.ascontiguousarray(value).tobytes()
        found[name] = hashlib.sha256(content).hexdigest()[:12]
    return found


def row(name, flags, before, threads):
    """The hashes of another process, which is begun with the words `before`.

    `threads` are those of XLA's pool; None: one for every core.
    """
    own = {"XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    own |= {"PJRT_NPROC": str(threads)} if threads else {}
    done = subprocess.run(
        [*before, sys.executable, __file__, "--worker"],
        env={**os.environ, **own},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise Mistake(f"{name} with {flags!r} ended: {done.stderr.strip()[-300:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return {"processor": name, "flags": flags, "threads": threads, **found}


def rows(flags):
    """All of them, the first one as it is here; the models under the same settings."""
    asked = [("here", SETTINGS[name], (), None) for name in flags.settings]
    asked += [
        ("here", SETTINGS[name], (), threads)
        for threads in flags.threads
        for name in flags.settings
    ]
    for model in flags.models:
        before = flags.emulator, "-cpu", model
        asked += [(model, SETTINGS[name], before, None) for name in flags.settings]
    with concurrent.futures.ThreadPoolExecutor(flags.at_once) as pool:
        return list(pool.map(row, *zip(*asked)))


def different(rows):
    """For every row the programs whose bits are not those of the first row."""
    wanted = rows[0]["digests"]
    return [
        [name for name, digest in row["digests"].items() if digest != wanted[name]]
        for row in rows
    ]


def read(args):
    """The flags of a command line, checked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--out", type=Path)
    add("--emulator", help="program that runs another with -cpu MODEL")
    add("--models", nargs="*", default=[])
    add("--settings", nargs="+", default=list(SETTINGS), choices=SETTINGS)
    add("--threads", type=int, nargs="*", default=[], help="of XLA's pool")
    add("--at-once", type=int, default=1, help="processes")
    add("--worker", action="store_true", help=argparse.SUPPRESS)
    flags = parser.parse_args(args)
    if bool(flags.emulator) != bool(flags.models):
        raise Mistake("--emulator and --models go together; give both or neither")
    if flags.at_once < 1:
        raise Mistake(f"--at-once is {flags.at_once}; it must be at least 1")
    if flags.out and not flags.out.absolute().parent.is_dir():
        raise Mistake(f"--out {flags.out} lies in no folder; make it first")
    return flags


def measure(args):
    """Runs one command line."""
    flags = read(args)
    if flags.worker:
        print(json.dumps({"digests": digests()}))
        return
    found = rows(flags)
    for each, names in zip(found, different(found)):
        told = "; ".join(names) or "none"
        threads = f", {each['threads']} threads" if each["threads"] else ""
        setting = (each["flags"] or "as it is") + threads
        print(f"{each['processor']}, {setting}: other bits of {told}")
    if flags.out:
        written = {
            "commit": versions.commit(),
            "processor": machine.processor(),
            "versions": {"jax": jax.__version__, "numpy": np.__version__},
            "openblas": os.environ.get("OPENBLAS_CORETYPE"),
            "rows": [
                {**each, "different": names}
                for each, names in zip(found, different(found))
            ],
        }
        write_json(flags.out, written)


def main(args):
    """Runs one command line; returns the exit code."""
    return exit_code(lambda: measure(args), "processors")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
