"""`slipway keys`: API keys of the service."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contracts.settings import load_settings
from slipway import output, tables
from slipway.durations import parse_duration
from slipway.options import OPERATE, JsonOption
from slipway.results import NewKey, PublicKey

if TYPE_CHECKING:
    from services.auth.keys import Key

app = typer.Typer()
group = typer.Typer(
    no_args_is_help=True, epilog="Example: slipway keys create shop --rate 100/second"
)

KeyId = Annotated[str, typer.Argument(help="ID of a key, as in the list.", metavar="ID")]


def keys_file() -> Path:
    """The key file that the service reads."""
    from services.auth.guard import keys_path
    from services.settings import ServiceSettings

    return keys_path(load_settings(ServiceSettings, os.environ))


@group.command(
    "create", epilog="Example: slipway keys create shop --scope predict --rate 100/second"
)
def create_command(
    name: Annotated[str, typer.Argument(help="Who will use the key.", metavar="NAME")],
    scope: Annotated[
        list[str] | None, typer.Option(help="predict, labels or admin; default: predict.")
    ] = None,
    rate: Annotated[
        str, typer.Option(help="Maximum rate, like 100/second; default: no limit.")
    ] = "",
    expires: Annotated[
        str, typer.Option(help="Lifetime, like 30d or 12h; default: unlimited.")
    ] = "",
    json: JsonOption = False,
) -> None:
    """Create a key; it is shown only once."""
    from services.auth.keys import create_key

    lifetime = parse_duration(expires, "--expires") if expires else None
    scopes = tuple(scope or ["predict"])
    key, text = create_key(keys_file(), name, scopes, rate, lifetime)
    _show_new(key, text, json_wanted=json)


@group.command("list", epilog="Example: slipway keys list")
def list_keys_command(json: JsonOption = False) -> None:
    """List the keys; the file holds digests, not the keys."""
    from services.auth.keys import read_ring

    keys = read_ring(keys_file()).keys
    if json:
        output.as_json([PublicKey(**_shown(key)) for key in keys])
    else:
        output.table("API keys", tables.KEY_COLUMNS, map(tables.key_row, keys))


@group.command("rotate", epilog="Example: slipway keys rotate 1f0c2a9e --grace 24h")
def rotate_command(
    key_id: KeyId,
    grace: Annotated[str, typer.Option(help="How long the old key stays valid.")] = "24h",
    json: JsonOption = False,
) -> None:
    """Create a key with the scopes and rate of an old one, which expires soon after."""
    from services.auth.keys import rotate_key

    key, text = rotate_key(keys_file(), key_id, parse_duration(grace, "--grace"))
    _show_new(key, text, json_wanted=json)


@group.command("revoke", epilog="Example: slipway keys revoke 1f0c2a9e")
def revoke_command(key_id: KeyId, json: JsonOption = False) -> None:
    """Revoke a key, at once and for good."""
    from services.auth.keys import revoke_key

    key = revoke_key(keys_file(), key_id)
    if json:
        output.as_json(PublicKey(**_shown(key)))
    else:
        output.say(f"{key.id} ({key.name}) is revoked; services notice within a second")


def _show_new(key: "Key", text: str, *, json_wanted: bool) -> None:
    if json_wanted:
        output.as_json(NewKey(**_shown(key), key=text))
        return
    output.table("API key", tables.KEY_COLUMNS, [tables.key_row(key)])
    output.say(f"Save it now, it is shown only once:\n{text}", soft_wrap=True)


def _shown(key: "Key") -> dict[str, Any]:
    """What may be shown of a key: everything but its digest."""
    import msgspec

    return {n: v for n, v in msgspec.structs.asdict(key).items() if n != "sha256"}


app.add_typer(
    group, name="keys", rich_help_panel=OPERATE, help="Create, list, rotate and revoke API keys."
)
