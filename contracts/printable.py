"""Text of others in our lines: without characters that control a terminal or end a line."""

import logging
from types import TracebackType


def printable(text: str) -> str:
    r"""`text` with every control character and line separator spelt as an escape.

    >>> printable("loan"), printable("x\ny"), printable("\x1b[31mred")
    ('loan', 'x\\ny', '\\x1b[31mred')
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def printable_lines(text: str) -> str:
    r"""`text` as `printable` spells it, but for its line feeds.

    >>> printable_lines("one\ntwo\x1b[2J")
    'one\ntwo\\x1b[2J'
    """
    return "\n".join(map(printable, text.split("\n")))


class PrintableFormatter(logging.Formatter):
    """Formats a log record as one line of printable text, with its traceback below, if any."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's name
        """The line of a record."""
        return printable(super().formatMessage(record))

    def formatException(  # noqa: N802 - logging's name
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        """The lines of a traceback."""
        return printable_lines(super().formatException(ei))


def log_to_stderr(line: str) -> None:
    """Log what this process reports to standard error, as printable lines of this format."""
    handler = logging.StreamHandler()
    handler.setFormatter(PrintableFormatter(line))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
