"""Notes of a run: what a person should know about it though nothing failed.

Code that finds such a thing says it with `add_note`; the caller collects the notes.
"""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

logger = logging.getLogger(__name__)
_collected: ContextVar[list[str] | None] = ContextVar("collected", default=None)


def add_note(text: str) -> None:
    """Add a note to those that are being collected; it is logged if nobody collects."""
    notes = _collected.get()
    if notes is None:
        logger.info("%s", text)
    elif text not in notes:
        notes.append(text)


@contextmanager
def collected_notes() -> Iterator[list[str]]:
    """Collect what the code inside adds, and the warnings of libraries, each text once.

    Warnings about a library's own future (deprecations) pass through.
    """
    notes: list[str] = []
    token = _collected.set(notes)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield notes
    finally:
        _collected.reset(token)
        others = []
        for each in caught:
            if issubclass(each.category, UserWarning | RuntimeWarning):
                text = f"{each.category.__name__}: {' '.join(str(each.message).split())}"
                if text not in notes:
                    notes.append(text)
            else:
                others.append(each)
        for each in others:
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
