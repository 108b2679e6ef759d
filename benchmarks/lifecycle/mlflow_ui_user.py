"""A person at `mlflow ui`, as a process: moves the alias on request, and reports when.

    python -m benchmarks.lifecycle.mlflow_ui_user URI MODEL

reads version numbers, one per line, and answers each with the time right before the move, on
the machine's monotonic clock. A separate process, so that its work delays no client.
"""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.serving.testbed import ROOT, quiet_environ


@dataclass(frozen=True)
class Hand:
    """The process."""

    process: "subprocess.Popen[str]"

    def point(self, version: int) -> float:
        """Move the alias; gives the moment (`time.monotonic`) right before it."""
        assert self.process.stdin is not None  # noqa: S101 - it was started with pipes
        assert self.process.stdout is not None  # noqa: S101 - the same
        self.process.stdin.write(f"{version}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())


@contextmanager
def hand(uri: str, model: str) -> Iterator[Hand]:
    """A hand on the alias `production` of a model, until the block ends."""
    words = [sys.executable, "-m", "benchmarks.lifecycle.mlflow_ui_user", uri, model]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        words, cwd=ROOT, env=quiet_environ(), stdin=pipe, stdout=pipe, text=True
    ) as process:
        yield Hand(process)
        # With the end of its input it ends.


def main() -> None:
    """Move what is named on standard input."""
    from mlflow import MlflowClient

    uri, model = sys.argv[1:]
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    client.get_registered_model(model)
    for line in sys.stdin:
        moment = time.monotonic()
        client.set_registered_model_alias(model, "production", line.strip())
        sys.stdout.write(f"{moment!r}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
