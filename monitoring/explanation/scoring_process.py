"""A version that answers rows outside the service: the service's own code, in a process.

Monitoring knows no model runtime; `python -m services.replay` does, and says of each row what
the service would answer, or why it would refuse it.
"""

import contextlib
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import msgspec

from contracts.errors import CorruptModel, PlatformError
from contracts.manifest import Pointer
from contracts.names import Layout
from contracts.process_error import read_error
from contracts.replay import Scored
from monitoring.baseline import Baseline

LIMIT_S = 120.0
"""A request that takes longer is given up: it holds some thousand rows, a service would do
them in milliseconds."""


class Scorer:
    """The process that scores for one version, while the block lasts."""

    def __init__(self, layout: Layout, baseline: Baseline) -> None:
        self._title = f"{baseline.name} version {baseline.version}"
        pointer = Pointer(
            name=baseline.name,
            version=baseline.version,
            run_id=baseline.manifest.run_id,
            digest=baseline.digest,
            bento_tag="",
            moved_at="",
        )
        self._words = [
            *(sys.executable, "-m", "services.replay"),
            *(str(layout.var), pointer.write().decode()),
        ]
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(Scored).decode

    def __enter__(self) -> Self:
        self._said = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self._words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        err: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()
        self._process.wait()
        self._said.close()

    def score(self, columns: Mapping[str, Sequence[object]], *, one_by_one: bool = False) -> Scored:
        """What the version answers to rows that are given column by column.

        `one_by_one` scores each row in a call of its own, which may change the last bit of a score.

        Raises:
            CorruptModel: the version cannot be loaded, or gives no answer in time.

        """
        pipes = self._process.stdin, self._process.stdout
        mode = b"single\t" if one_by_one else b"batch\t"
        # A model that hangs is ended; what it leaves is the end of its output.
        watch = threading.Timer(LIMIT_S, self._process.kill)
        watch.start()
        try:
            if pipes[0] is None or pipes[1] is None:
                raise self._failure()
            pipes[0].write(mode + self._encode({"columns": columns}) + b"\n")
            pipes[0].flush()
            line = pipes[1].readline()
        except BrokenPipeError as err:
            raise self._failure() from err
        finally:
            watch.cancel()
        if not line.endswith(b"\n"):
            raise self._failure()
        return self._decode(line)

    def _failure(self) -> PlatformError:
        """Why the process gives no answer, as it reports itself."""
        self._process.kill()
        code = self._process.wait()
        self._said.seek(0)
        report = read_error(self._said.read())
        got = report.message or f"an end with {code} (no answer within {LIMIT_S:g} s, or no memory)"
        return CorruptModel(
            f"{self._title}: expected it to answer rows, got {got}",
            remedy=report.remedy or "train the version again",
        )
