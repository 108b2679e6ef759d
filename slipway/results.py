"""What commands print with `--json` and no other package defines; see `slipway.json_results`."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contracts.errors import PlatformError


@dataclass(frozen=True)
class ErrorDetails:
    """An error: its kind, what was expected and what came, and what to do."""

    code: str
    message: str
    remedy: str


def error_details(error: "PlatformError") -> ErrorDetails:
    """An error as JSON has it."""
    from contracts.process_error import code_of

    return ErrorDetails(code_of(type(error)), error.what, error.remedy)


@dataclass(frozen=True)
class CommandError:
    """What every command prints if it fails."""

    error: ErrorDetails


@dataclass(frozen=True)
class FailedRecipe:
    """A recipe that could not be trained while others could."""

    name: str
    error: ErrorDetails


@dataclass(frozen=True)
class DraftedRecipe:
    """A recipe that was drafted from a file; `left_out` has a reason for each column.

    `time` and `group` name the column by which rows are held out, empty for none.
    """

    path: str
    task: str
    rows: int
    features: list[str]
    left_out: dict[str, str]
    time: str
    group: str
    doubts: list[str]


@dataclass(frozen=True)
class ServiceAddress:
    """Where a service is about to listen."""

    url: str
    workers: int


@dataclass(frozen=True, kw_only=True)
class PublicKey:
    """What may be shown of an API key. Times are RFC 3339 in UTC, empty for none."""

    id: str
    name: str
    scopes: tuple[str, ...]
    rate: str
    created_at: str
    expires_at: str
    revoked_at: str
    owner: str


@dataclass(frozen=True, kw_only=True)
class NewKey(PublicKey):
    """A key that was just created, with its text, which is shown only once."""

    key: str


@dataclass(frozen=True)
class SignedVersion:
    """A version that was signed; `signer` is its name, or the fingerprint of the key."""

    name: str
    version: int
    signer: str


@dataclass(frozen=True)
class RoleShare:
    """A role, its version (None if it has none), and its share of the requests, in words."""

    role: str
    version: int | None
    share: str
