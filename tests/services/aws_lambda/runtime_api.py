"""Lambda's Runtime API, as an HTTP server on this machine.

Source: docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html. The runtime client asks for the next
event, and posts its answer or an error.
"""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
NEXT = "/2018-06-01/runtime/invocation/next"
ANSWER_TIMEOUT_S = 120.0
HANDLER = "services.aws_lambda.app.handler"


@dataclass
class RuntimeApi:
    """Passes events to a function, one at a time, and returns its answers."""

    events: "queue.Queue[bytes]" = field(default_factory=queue.Queue)
    answers: "queue.Queue[tuple[str, bytes]]" = field(default_factory=queue.Queue)

    def invoke(self, event: object) -> Any:
        """What the function returns for an event; fails if it raises."""
        self.events.put(json.dumps(event).encode())
        kind, body = self.answers.get(timeout=ANSWER_TIMEOUT_S)
        assert kind == "response", body
        return json.loads(body)


class _Server(ThreadingHTTPServer):
    """Says nothing of a function that was ended while it waited."""

    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def runtime_api() -> Iterator[tuple[RuntimeApi, str]]:
    """The server and its address, as AWS_LAMBDA_RUNTIME_API has it."""
    api = RuntimeApi()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Without these, an answer waits 40 ms for the acknowledgement of its head.
        disable_nagle_algorithm = True
        wbufsize = -1

        def do_GET(self) -> None:
            assert self.path == NEXT
            event = api.events.get()
            self.send_response(200)
            self.send_header(
                "Lambda-Runtime-Aws-Request-Id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd"
            )
            self.send_header("Lambda-Runtime-Deadline-Ms", str(int(time.time() * 1000) + 60_000))
            self.send_header("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:x:1:function:f")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(event)))
            self.end_headers()
            self.wfile.write(event)

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            api.answers.put((self.path.rpartition("/")[2], body))
            self.send_response(202)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name in http.server
            del format, args

    with _Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield api, f"127.0.0.1:{server.server_port}"
        finally:
            # The thread that waits for an event ends with this process.
            server.shutdown()


@contextmanager
def function(
    var: Path, log: Path, handler: str = HANDLER, root: Path = ROOT
) -> Iterator[RuntimeApi]:
    """The function as a process of AWS's runtime client; `log` gets what it prints."""
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(root),
        "SLIPWAY_VAR": str(var),
        # Where the handler of `benchmarks.aws_lambda` with scikit-learn finds its model.
        "PIPELINE": str(var / "pipeline.joblib"),
        "ORT_DISABLE_TELEMETRY": "1",
        "AWS_LAMBDA_FUNCTION_NAME": "f",
        "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "LAMBDA_TASK_ROOT": str(root),
    }
    with runtime_api() as (api, address), log.open("wb") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "awslambdaric", handler],
            env=environ | {"AWS_LAMBDA_RUNTIME_API": address},
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
        )
        try:
            yield api
        finally:
            process.kill()
            process.wait(30)
