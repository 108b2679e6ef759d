"""How far a command is: a bar or the time on a terminal, a line every ten seconds elsewhere.

All of it goes to standard error, so that standard output holds the result alone.
"""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from services.batch.progress import ScoringProgress, ShowProgress

LINE_EVERY_S = 10.0
"""Between two lines where there is no terminal."""
BAR_STEPS = 1000
_MIN_SHARE = 1e-6


class Advance(Protocol):
    """Reports that more is done."""

    def __call__(self, count: int, /) -> None:
        """`count` more are done."""


@contextmanager
def working(text: str) -> Iterator[None]:
    """Show that something takes long, and how long it has taken, until the block ends."""
    if sys.stderr.isatty():
        with _spinner(text):
            yield
        return
    begin, is_over = time.monotonic(), threading.Event()

    def write_lines() -> None:
        while not is_over.wait(LINE_EVERY_S):
            sys.stderr.write(f"{text}: {time.monotonic() - begin:.0f} s\n")

    writer = threading.Thread(target=write_lines, daemon=True)
    writer.start()
    try:
        yield
    finally:
        is_over.set()
        writer.join()


@contextmanager
def counting(text: str, total: int) -> Iterator[Advance]:
    """Show how many of `total` are done, until the block ends."""
    if sys.stderr.isatty():
        with _count_bar(text, total) as advance:
            yield advance
        return
    done, shown = 0, time.monotonic()

    def write_line(count: int, /) -> None:
        nonlocal done, shown
        done += count
        if time.monotonic() >= shown + LINE_EVERY_S:
            shown = time.monotonic()
            sys.stderr.write(f"{text}: {done:,} of {total:,}\n")

    yield write_line


@contextmanager
def _spinner(text: str) -> Iterator[None]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task(text, total=None)
        yield


@contextmanager
def _count_bar(text: str, total: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(text, total=total)

        def advance(count: int, /) -> None:
            progress.advance(task, count)

        yield advance


@contextmanager
def scoring_progress() -> "Iterator[ShowProgress]":
    """Show how far a scoring of files is, until the block ends."""
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
