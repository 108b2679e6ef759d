"""MLflow's errors as ours: what is missing, out of reach, or at fault on this machine.

MLflow has one exception class. Its error codes say what is missing; the rest is recognised by
the exception that it was raised from, or by its text, which may change with any version
(`tests/registry/test_mlflow_store.py` and `test_http.py` notice).
"""

import contextlib
import errno
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from contracts.errors import NotRegistered, PlatformError, RegistryUnreachable
from contracts.files import unwritable
from registry.mlflow_store.database import without_password

MISSING_CODES = frozenset({"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "NOT_FOUND"})
"""Error codes of what does not exist; MLflow gives the second for a version that is no number."""
UNREACHABLE_TEXTS = ("API request to", "Max retries", "unable to open database")
OLD_SCHEMA_TEXT = "out-of-date database schema"
"""MLflow reads and writes only tables of its own version."""
UNWRITABLE_TEXTS = ("disk is full", "readonly database", "disk I/O error")
"""How SQLite says that its file cannot be written."""
LOCAL_ERRNOS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EMFILE, errno.ENFILE}
)
"""Errors that only a write on this machine gives; other numbers need a path to tell."""
_ERRNO = re.compile(r"\[Errno (\d+)\]")


@contextlib.contextmanager
def our_errors(uri: str) -> Iterator[None]:
    """Raise what MLflow's client for the server `uri` raises in the block as one of our errors."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as err:
        raise translated(err, uri) from err
    except OSError as err:
        raise unreachable(uri, str(err)) from err


def translated(err: Any, uri: str) -> PlatformError:
    """Our error for an `MlflowException` of the client for the server `uri`."""
    text = next(iter(str(err.message).splitlines()), type(err).__name__)
    if err.error_code in MISSING_CODES:
        return NotRegistered(f"registry: {text}", remedy="slipway versions")
    if OLD_SCHEMA_TEXT in text:
        return _old_schema(uri, text)
    if any(part in text for part in UNREACHABLE_TEXTS) or _is_network_error(err):
        return unreachable(uri, text)
    if any(part in text for part in UNWRITABLE_TEXTS):
        return unwritable(Path(urlsplit(uri).path), text)
    return PlatformError(
        f"registry: {text}", remedy=f"look at the tracking server {without_password(uri)}"
    )


def _old_schema(uri: str, text: str) -> PlatformError:
    """The error for tables of another version of MLflow."""
    found = re.search(r"found version (\w+), but expected (\w+)", text)
    wanted, got = (found[2], found[1]) if found else ("this MLflow's", "an older one")
    return PlatformError(
        f"tracking database: expected the schema version {wanted}, got {got}",
        remedy=f"back it up, then mlflow db upgrade {without_password(uri)} (with its password)",
    )


def _is_network_error(err: BaseException | None) -> bool:
    """Whether a failed connection caused it, whatever its text says."""
    from requests import RequestException

    while err is not None:
        if isinstance(err, ConnectionError | TimeoutError | RequestException):
            return True
        err = err.__cause__ or err.__context__
    return False


def unreachable(uri: str, got: str) -> RegistryUnreachable:
    """The error for a tracking server that does not answer."""
    return RegistryUnreachable(
        f"tracking server: expected an answer from {without_password(uri)}, got {got}",
        remedy="start it, or unset MLFLOW_TRACKING_URI to use mlflow.db in this folder",
    )


def artifacts_unreachable(location: str, got: str) -> RegistryUnreachable:
    """The error for an artifact store that does not answer, or shows nothing."""
    return RegistryUnreachable(
        f"artifact store: expected an answer from {location}, got {got}",
        remedy="mount it, start it, or move it back there (MLflow keeps absolute paths)",
    )


def is_local(err: Exception, target: Path) -> bool:
    """Whether a failed download to `target` failed to write here, rather than to read there.

    MLflow collects the errors of single files into one text.
    """
    numbers = {int(number) for number in _ERRNO.findall(str(err))}
    return bool(numbers & LOCAL_ERRNOS) or (bool(numbers) and str(target) in str(err))


def errno_line(err: Exception) -> str:
    """The line of an error's text that names the error number."""
    return next(line for line in str(err).splitlines() if _ERRNO.search(line))
