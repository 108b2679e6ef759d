"""`slipway traffic-split`: who answers which share of a model's requests, and who looks on."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from contracts.errors import InvalidSplit
from contracts.names import CHALLENGER, PRODUCTION, SHADOW, TAG_CHALLENGER_SPLIT
from slipway import context, output

if TYPE_CHECKING:
    from registry.store import Store

WORDS = "challenger=10%, challenger=canary, challenger=off, shadow=7, shadow=off"
COLUMNS = ("role", "version", "share")


@dataclass(frozen=True)
class Role:
    """A version in a role, and what it is asked; `version` is None for nobody."""

    role: str
    version: int | None
    share: str


def traffic_split(
    model: Annotated[str, typer.Argument(help="A model's name.", metavar="MODEL")],
    words: Annotated[
        list[str] | None, typer.Argument(help=f"{WORDS}; none: the present split.")
    ] = None,
    version: Annotated[
        int | None, typer.Option(help="The challenger; default: the alias, or the newest.")
    ] = None,
    by: Annotated[str, typer.Option(help="The feature that says the user.")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Give a share of the requests to a challenger, sticky by user; or let a shadow look on."""
    store = context.store()
    for word in words or []:
        _obey(store, model, word, version, by)
    roles = present(store, model)
    if json:
        output.as_json(roles)
        return
    rows = [(role.role, role.version, role.share) for role in roles]
    output.table(f"Traffic of {model}", COLUMNS, rows)


def present(store: "Store", model: str) -> list[Role]:
    """Who answers, and which share; a share that cannot be read is told as it stands."""
    from registry.split_spec import OFF, parse

    stored = store.models.get(model)
    text = stored.tags.get(TAG_CHALLENGER_SPLIT, OFF)
    try:
        share = parse(text).text
    except InvalidSplit as err:
        share = err.what
    aliases: dict[str, Any] = dict(stored.aliases)
    return [
        Role(PRODUCTION, aliases.get(PRODUCTION), "the rest"),
        Role(CHALLENGER, aliases.get(CHALLENGER), share),
        Role(SHADOW, aliases.get(SHADOW), "scores all, answers nothing"),
    ]


def _obey(store: "Store", model: str, word: str, version: int | None, by: str) -> None:
    """Do what one word says."""
    role, is_said, text = word.partition("=")
    if not is_said or role not in {CHALLENGER, SHADOW}:
        raise InvalidSplit(
            f"word: expected {WORDS}, got {word!r}", remedy="name a role and a share"
        )
    if role == CHALLENGER:
        _challenge(store, model, f"{text} by {by}" if by else text, version)
    elif text == "off":
        if SHADOW in store.models.get(model).aliases:
            store.models.delete_alias(model, SHADOW)
    elif text.isdigit():
        store.models.set_alias(model, store.versions.get(model, int(text)).version, SHADOW)
    else:
        raise InvalidSplit(f"shadow: expected a version or off, got {text!r}", remedy="shadow=7")


def _challenge(store: "Store", model: str, text: str, version: int | None) -> None:
    """Move the alias first: a share without a challenger is given to nobody."""
    from registry.split_spec import OFF, parse

    wish = parse(text)
    aliases = store.models.get(model).aliases
    if version is None and not wish.is_off and CHALLENGER not in aliases:
        version = max(v.version for v in store.versions.of(model))
    if version is not None:
        if version == aliases.get(PRODUCTION):
            raise InvalidSplit(
                f"challenger: expected another version than production, got {version}",
                remedy=f"slipway versions {model}, then --version N",
            )
        known = store.versions.get(model, version).version
        if known != aliases.get(CHALLENGER):
            # Else it would have the old one's share for a moment.
            store.models.set_tag(model, TAG_CHALLENGER_SPLIT, OFF)
            store.models.set_alias(model, known, CHALLENGER)
    store.models.set_tag(model, TAG_CHALLENGER_SPLIT, wish.text)
