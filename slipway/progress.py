"""How far a scoring of files is: a bar on a terminal, lines of text elsewhere."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.batch.progress import ScoringProgress, ShowProgress

LINE_EVERY_S = 10.0
"""Between two lines where there is no terminal."""
BAR_STEPS = 1000
_MIN_SHARE = 1e-6


@contextmanager
def scoring_progress() -> "Iterator[ShowProgress]":
    """Show progress on standard error until the block ends."""
    if sys.stderr.isatty():
        with _bar() as report:
            yield report
    else:
        yield _Lines()


@contextmanager
def _bar() -> "Iterator[ShowProgress]":
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.percentage:>3.0f}%"),
        BarColumn(),
        TextColumn("{task.description}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=BAR_STEPS)
        begin = time.monotonic()

        def report(found: "ScoringProgress", /) -> None:
            done = found.share * BAR_STEPS
            progress.update(task, completed=done, description=_described(found, begin))

        yield report


class _Lines:
    """A line every ten seconds, and one at the end."""

    def __init__(self) -> None:
        self._begin = self._shown = time.monotonic()

    def __call__(self, found: "ScoringProgress", /) -> None:
        """Show how far the scoring is, if it was not shown just before."""
        now = time.monotonic()
        is_done = found.finished_files == found.n_files
        if not is_done and now < self._shown + LINE_EVERY_S:
            return
        self._shown = now
        left = ""
        if not is_done and found.share > _MIN_SHARE:
            seconds = (now - self._begin) * (1 - found.share) / found.share
            left = f", {seconds:.0f} s left"
        sys.stderr.write(f"{found.share:.0%}  {_described(found, self._begin)}{left}\n")


def _described(found: "ScoringProgress", begin: float) -> str:
    rate = found.scored_rows / max(time.monotonic() - begin, 1e-3)
    rejected = f", {found.rejected:,} rejected" if found.rejected else ""
    return (
        f"{found.rows:,} rows, {rate:,.0f}/s{rejected}, file {found.finished_files} of "
        f"{found.n_files}"
    )
