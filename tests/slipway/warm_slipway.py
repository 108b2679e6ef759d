"""A `slipway` whose imports are done: each command is a fork of one process that is warm.

A command of a page imports MLflow, pandas and more, which takes longer than its work. A process
imports them once and waits; an executable `slipway`, first on the PATH of a test, hands it
arguments, folder, environment and streams, and exits with the command's code.

    python tests/slipway/warm_slipway.py SOCKET
"""

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

IMPORTED = (
    "mlflow",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.sqlalchemy_store",
    "matplotlib.pyplot",
    "sklearn.ensemble",
    "skl2onnx",
    "skops.io",
    "onnxruntime",
    "slipway.app",
    "training.run",
    "training.drafting.draft",
    "registry.promote",
    "monitoring.monitor",
    "monitoring.reporting.evidently",
)
HARMLESS_THREADS = {"python", "python3", "jemalloc_bg_thd", "polars-ooc-clea"}
"""Our own, and those of Polars: its allocator allows for forks, its cleaner has nothing to do."""
START_TIMEOUT_S = 120.0
CLIENT = """#!{python} -SI
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
server.connect({path!r})
asked = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
socket.send_fds(server, [len(asked).to_bytes(4, "big")], [0, 1, 2])
server.sendall(asked)
sys.exit(int(server.recv(8) or b"1"))
"""


@contextmanager
def warm_slipway(root: Path, environ: Mapping[str, str], folder: Path) -> Iterator[dict[str, str]]:
    """The environment of the checkout at `root` with a warm `slipway` first on its PATH.

    `environ` has the checkout as its PYTHONPATH; `folder` is empty.
    """
    path = folder / "socket"
    client = folder / "slipway"
    client.write_text(CLIENT.format(python=sys.executable, path=str(path)))
    client.chmod(0o755)
    log = folder / "log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, __file__, str(path)],
            cwd=root,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
        )
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not path.exists():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield {**environ, "PATH": f"{folder}{os.pathsep}{environ['PATH']}"}
    finally:
        process.terminate()
        process.wait(30)


def serve(path: Path) -> None:
    """Run one command after the other, each in a fork of this process."""
    for name in IMPORTED:
        importlib.import_module(name)
    threads = {path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")}
    assert threads <= HARMLESS_THREADS, f"a fork would lose the threads {threads}"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(f"{path}.new")
    listener.listen()
    Path(f"{path}.new").rename(path)
    while True:
        client, _ = listener.accept()
        with client:
            head, streams, _, _ = socket.recv_fds(client, 4, 3, socket.MSG_WAITALL)
            asked = client.recv(int.from_bytes(head, "big"), socket.MSG_WAITALL)
            child = os.fork()
            if child == 0:
                listener.close()
                _become(json.loads(asked), streams)
                return
            for stream in streams:
                os.close(stream)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            client.sendall(str(code if code >= 0 else 128 - code).encode())


def _become(asked: tuple[list[str], str, dict[str, str]], streams: list[int]) -> None:
    """Run the command with the streams of its client; ends as the process of `slipway` would."""
    from slipway.app import main

    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    arguments, folder, environ = asked
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = ["slipway", *arguments]
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    main()


if __name__ == "__main__":
    del sys.path[0]  # the folder of this file: its names are not those of the checkout
    serve(Path(sys.argv[1]))
