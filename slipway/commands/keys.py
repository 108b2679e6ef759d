"""`slipway keys`: who may ask the service."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contracts import settings
from slipway import output
from slipway.durations import span

if TYPE_CHECKING:
    from services.auth.keys import Key

app = typer.Typer(no_args_is_help=True, help="Make, list, rotate and revoke API keys.")

Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
KeyId = Annotated[str, typer.Argument(help="A key's id, as in the list.", metavar="ID")]
COLUMNS = ("id", "name", "scopes", "rate", "created", "expires", "state")


def keys_file() -> Path:
    """The file of the keys, as the service reads it."""
    from services.auth.guard import keys_path
    from services.settings import ServiceSettings

    return keys_path(settings.load(ServiceSettings, os.environ))


@app.command(epilog="Example: slipway keys create shop --scope predict --rate 100/second")
def create(
    name: Annotated[str, typer.Argument(help="Who will use it.")],
    scope: Annotated[list[str] | None, typer.Option(help="predict, labels or admin.")] = None,
    rate: Annotated[str, typer.Option(help="Like 100/second; default: no limit.")] = "",
    expires: Annotated[str, typer.Option(help="After 30d, 12h; default: never.")] = "",
    json: Json = False,
) -> None:
    """Make a key; it is shown this once."""
    from services.auth.keys import create_key

    ends = span(expires, "--expires") if expires else None
    key, text = create_key(keys_file(), name, tuple(scope or ["predict"]), rate, ends)
    _show_new(key, text, json_wanted=json)


@app.command("list", epilog="Example: slipway keys list")
def list_keys(json: Json = False) -> None:
    """List the keys; of the keys themselves nothing is kept."""
    from services.auth.keys import read_ring

    keys = read_ring(keys_file()).keys
    if json:
        output.as_json([_told(key) for key in keys])
    else:
        output.table("API keys", COLUMNS, map(_row, keys))


@app.command(epilog="Example: slipway keys rotate 1f0c2a9e --grace 24h")
def rotate(
    key_id: KeyId,
    grace: Annotated[str, typer.Option(help="How long the old one is good still.")] = "24h",
    json: Json = False,
) -> None:
    """Make a key with the rights of an old one, which ends after a time of grace."""
    from services.auth.keys import rotate_key

    key, text = rotate_key(keys_file(), key_id, span(grace, "--grace"))
    _show_new(key, text, json_wanted=json)


@app.command(epilog="Example: slipway keys revoke 1f0c2a9e")
def revoke(key_id: KeyId, json: Json = False) -> None:
    """Let a key open nothing, from now on."""
    from services.auth.keys import revoke_key

    key = revoke_key(keys_file(), key_id)
    if json:
        output.as_json(_told(key))
    else:
        output.say(f"{key.id} ({key.name}) opens nothing; services see it in a second")


def _show_new(key: "Key", text: str, *, json_wanted: bool) -> None:
    if json_wanted:
        output.as_json(_told(key) | {"key": text})
        return
    output.table("API key", COLUMNS, [_row(key)])
    output.say(f"Keep it now, it is shown this once:\n{text}", soft_wrap=True)


def _told(key: "Key") -> dict[str, Any]:
    """What may be shown of a key: not even its digest."""
    import msgspec

    return {name: value for name, value in msgspec.to_builtins(key).items() if name != "sha256"}


def _row(key: "Key") -> tuple[object, ...]:
    state = (
        "valid" if key.is_valid(datetime.now(UTC)) else "revoked" if key.revoked_at else "expired"
    )
    return (
        key.id,
        key.name,
        ", ".join(key.scopes),
        key.rate or "no limit",
        key.created_at,
        key.expires_at or "never",
        state,
    )
