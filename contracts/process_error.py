"""How a process of ours reports its failure to the process that started it: as JSON, not prose.

The report is the last line of standard error. What stands before it (warnings, log lines) is
for people.
"""

import re
import sys
from typing import Self

from contracts import errors
from contracts.documents import Document
from contracts.errors import InvalidDocument, PlatformError

UNKNOWN = "unknown"
"""The code of a process that ended without a report, such as one that was killed."""
MAX_MESSAGE_CHARS = 1000
"""At most this much of the prose of a process without a report is kept."""
_CAPITAL = re.compile(r"(?<!^)(?=[A-Z])")


class ProcessError(Document, frozen=True, kw_only=True):
    """Why a process failed.

    `code` names the kind of error for programs (`corrupt_model`, `registry_unreachable`);
    `message` says what was expected and what came, `remedy` what to do, empty if nothing is
    known.
    """

    code: str
    message: str
    remedy: str = ""

    @classmethod
    def of(cls, error: PlatformError) -> Self:
        """The report of an error."""
        return cls(code=code_of(type(error)), message=error.what, remedy=error.remedy)

    def to_error(self) -> PlatformError:
        """The error as the failed process raised it; a plain PlatformError for other codes."""
        return _kinds().get(self.code, PlatformError)(self.message, remedy=self.remedy)


def code_of(kind: type[PlatformError]) -> str:
    """The code of a kind of error.

    >>> code_of(errors.RegistryUnreachable)
    'registry_unreachable'
    """
    return _CAPITAL.sub("_", kind.__name__).lower()


def report_error(error: PlatformError) -> None:
    """Write an error to standard error; nothing may follow it."""
    sys.stderr.write(ProcessError.of(error).write().decode() + "\n")


def read_error(stderr: bytes) -> ProcessError:
    """The report at the end of a failed process's standard error.

    Where there is none, the code is `unknown` and the message is the end of what the process
    wrote: empty if it wrote nothing.
    """
    text = stderr.decode(errors="replace").strip()
    try:
        return ProcessError.read(text.rpartition("\n")[2].encode())
    except InvalidDocument:
        return ProcessError(code=UNKNOWN, message=text[-MAX_MESSAGE_CHARS:])


def _kinds() -> dict[str, type[PlatformError]]:
    found = (each for each in vars(errors).values() if isinstance(each, type))
    return {code_of(kind): kind for kind in found if issubclass(kind, PlatformError)}
