"""`slipway sign`: vouch for a version with a key."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from contracts.errors import InvalidUsage, NotFoundHere
from slipway import context, output
from slipway.options import TRAIN, JsonOption, ModelArgument
from slipway.results import SignedVersion

app = typer.Typer()


@app.command(
    "sign",
    rich_help_panel=TRAIN,
    epilog="Example: slipway sign loan --version 7 --key ~/.ssh/id_ed25519",
)
def sign_command(
    model: ModelArgument,
    version: Annotated[
        int | None, typer.Option(help="Version to sign; default: the newest.")
    ] = None,
    key: Annotated[
        str, typer.Option(help="Ed25519 key file; default: SLIPWAY_REGISTRY_SIGNING_KEY.")
    ] = "",
    signature: Annotated[
        str, typer.Option(help="File of a signature that ssh-keygen -Y sign made.")
    ] = "",
    statement: Annotated[
        bool, typer.Option("--statement", help="Print what is signed, and sign nothing.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Sign a version; SLIPWAY_REGISTRY_SIGNERS says whose signatures count."""
    from registry.manifests import require_digest
    from registry.signing import add_signature, version_signature
    from registry.signing import statement as statement_of

    store = context.store()
    stored = store.versions.newest(model) if version is None else store.versions.get(model, version)
    digest = require_digest(stored)
    if statement:
        sys.stdout.write(statement_of(model, digest).decode())
        return
    key_file = key or ("" if signature else store.signing_key)
    if bool(key_file) == bool(signature):
        raise InvalidUsage(
            f"sign: expected --key or --signature, got {'both' if signature else 'neither'}",
            remedy="make a key: ssh-keygen -t ed25519 -N '' -f signing_key",
        )
    text = _read(signature) if signature else version_signature(model, digest, Path(key_file))
    signer = add_signature(store, stored, text)
    if json:
        output.as_json(SignedVersion(model, stored.version, signer))
    else:
        output.say(
            f"{model} version {stored.version} (manifest {digest[:12]}) is signed by {signer}",
            soft_wrap=True,
        )


def _read(path: str) -> str:
    from registry.ssh_signature import MAX_SIGNATURE_BYTES

    try:
        with Path(path).open(encoding="ascii") as file:
            return file.read(MAX_SIGNATURE_BYTES)
    except (OSError, UnicodeDecodeError) as err:
        raise NotFoundHere(
            f"{path}: expected a signature, got {err}",
            remedy="make one: ssh-keygen -Y sign -n slipway-model",
        ) from err
