"""Scores rows with a version outside the service: the service's own code, in a process.

Monitoring imports no model runtime. `python -m services.replay` does, and returns for each row
what the service would answer, or why it would refuse it.
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

SCORING_TIMEOUT_S = 120.0
"""For a request of some thousand rows, which a service scores in milliseconds."""


class ScoringProcess:
    """The process that scores rows with one version; it runs while the block does."""

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
        self._command = [
            *(sys.executable, "-m", "services.replay"),
            *(str(layout.var), pointer.write().decode()),
        ]
        self._encode = msgspec.json.Encoder().encode
        self._decode = msgspec.json.Decoder(Scored).decode

    def __enter__(self) -> Self:
        self._stderr = tempfile.TemporaryFile()
        self._process = subprocess.Popen(
            self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._stderr
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
        self._stderr.close()

    def score(self, columns: Mapping[str, Sequence[object]], *, one_by_one: bool = False) -> Scored:
        """Score rows; `columns` holds a sequence of `n_rows` values per feature.

        With `one_by_one` each row is scored in a call of its own, which may change the last bit of
        a score.

        Raises:
            CorruptModel: the version cannot be loaded, or does not answer in time.

        """
        stdin, stdout = self._process.stdin, self._process.stdout
        mode = b"single\t" if one_by_one else b"batch\t"
        # Killing a process that hangs ends its output, and with it the read below.
        watchdog = threading.Timer(SCORING_TIMEOUT_S, self._process.kill)
        watchdog.start()
        try:
            if stdin is None or stdout is None:
                raise self._failure()
            stdin.write(mode + self._encode({"columns": columns}) + b"\n")
            stdin.flush()
            line = stdout.readline()
        except BrokenPipeError as err:
            raise self._failure() from err
        finally:
            watchdog.cancel()
        if not line.endswith(b"\n"):
            raise self._failure()
        return self._decode(line)

    def _failure(self) -> PlatformError:
        """The error that the process reports, or that it was killed."""
        self._process.kill()
        code = self._process.wait()
        self._stderr.seek(0)
        report = read_error(self._stderr.read())
        if code < 0 and not report.message:
            return CorruptModel(
                f"{self._title}: the scoring process was killed (no answer within "
                f"{SCORING_TIMEOUT_S:g} s, or out of memory)",
                remedy="train the version again, or give this machine more memory",
            )
        got = report.message or f"an end with exit code {code}"
        return CorruptModel(
            f"{self._title}: expected it to score rows, got {got}",
            remedy=report.remedy or "train the version again",
        )
