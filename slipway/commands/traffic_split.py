"""`slipway traffic-split`: the challenger's share of a model's requests, and its shadow."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from contracts.errors import InvalidSplit
from contracts.names import CHALLENGER, PRODUCTION, SHADOW, TAG_CHALLENGER_SPLIT
from slipway import context, output, tables
from slipway.completion import complete_role
from slipway.durations import parse_duration
from slipway.options import (
    LOCAL_SERVICE,
    SERVE,
    JsonOption,
    KeyOption,
    ModelArgument,
    UrlOption,
)
from slipway.progress import working
from slipway.results import RoleShare

if TYPE_CHECKING:
    from registry.store import Store

app = typer.Typer()

FORMS = "challenger=10%, challenger=canary, challenger=off, shadow=7, shadow=off"


@app.command(
    "traffic-split",
    rich_help_panel=SERVE,
    epilog="Example: slipway traffic-split loan challenger=10%",
)
def traffic_split_command(
    model: ModelArgument,
    roles: Annotated[
        list[str] | None,
        typer.Argument(
            help=f"{FORMS}; without: show the current split.",
            metavar="ROLE=SHARE",
            autocompletion=complete_role,
        ),
    ] = None,
    version: Annotated[
        int | None,
        typer.Option(
            help="Version of the challenger; default: that of the alias, else the newest."
        ),
    ] = None,
    by: Annotated[str, typer.Option(help="Feature that identifies the user.")] = "",
    wait: Annotated[
        bool, typer.Option("--wait", help="Return when every worker of the service has the split.")
    ] = False,
    timeout: Annotated[str, typer.Option(help="With --wait: give up after this time.")] = "60s",
    url: UrlOption = LOCAL_SERVICE,
    key: KeyOption = "",
    json: JsonOption = False,
) -> None:
    """Give a challenger a share of the requests, sticky by user, or set a shadow."""
    timeout_s = parse_duration(timeout, "--timeout").total_seconds()
    store = context.store()
    for role in roles or []:
        _set_role(store, model, role, version, by)
    if wait:
        workers = _wait_until_in_force(store, model, url, key, timeout_s)
        output.warn(f"in force in {workers} worker{'' if workers == 1 else 's'} of {url}")
    shares = current_shares(store, model)
    if json:
        output.as_json(shares)
        return
    rows = [(each.role, each.version, each.share) for each in shares]
    output.table(f"Traffic of {model}", tables.SPLIT_COLUMNS, rows)


def _wait_until_in_force(store: "Store", model: str, url: str, key: str, timeout_s: float) -> int:
    """The number of workers that have the challenger's split, once all have it."""
    from registry.refusals import TAG_REFUSED
    from registry.split_spec import OFF, parse_split
    from slipway.split_wait import WantedSplit, read_weights, wait_for_split

    stored = store.models.get(model)
    spec = parse_split(stored.tags.get(TAG_CHALLENGER_SPLIT, OFF))
    version = stored.aliases.get(CHALLENGER, 0)
    weight = None if spec.steps else spec.weight if version else 0.0
    wanted = WantedSplit(model, version, weight)

    def refusal() -> str:
        if weight == 0:
            return ""
        return store.versions.get(model, version).tags.get(TAG_REFUSED, "")

    with working(f"waiting until {model} has the split"):
        return wait_for_split(wanted, lambda: read_weights(url, key, model), refusal, timeout_s)


def current_shares(store: "Store", model: str) -> list[RoleShare]:
    """The share of each role; for an invalid split of the challenger, what is wrong with it."""
    from registry.split_spec import OFF, parse_split

    stored = store.models.get(model)
    text = stored.tags.get(TAG_CHALLENGER_SPLIT, OFF)
    try:
        share = parse_split(text).text
    except InvalidSplit as err:
        share = err.what
    aliases: dict[str, Any] = dict(stored.aliases)
    return [
        RoleShare(PRODUCTION, aliases.get(PRODUCTION), "the rest"),
        RoleShare(CHALLENGER, aliases.get(CHALLENGER), share),
        RoleShare(SHADOW, aliases.get(SHADOW), "scores all, answers nothing"),
    ]


def _set_role(store: "Store", model: str, text: str, version: int | None, by: str) -> None:
    """Carry out one argument like `challenger=10%`."""
    role, equals, share = text.partition("=")
    if not equals or role not in {CHALLENGER, SHADOW}:
        raise InvalidSplit(
            f"ROLE=SHARE: expected one of {FORMS}, got {text!r}",
            remedy="name a role and a share; put quotes around one with spaces: "
            '"challenger=canary 25,100 each 50"',
        )
    if role == CHALLENGER:
        _set_challenger(store, model, f"{share} by {by}" if by else share, version)
    elif share == "off":
        if SHADOW in store.models.get(model).aliases:
            store.models.delete_alias(model, SHADOW)
    elif share.isdigit():
        store.models.set_alias(model, store.versions.get(model, int(share)).version, SHADOW)
    else:
        raise InvalidSplit(f"shadow: expected a version or off, got {share!r}", remedy="shadow=7")


def _set_challenger(store: "Store", model: str, text: str, version: int | None) -> None:
    """Move the alias, then set the split: a share without a challenger has no effect."""
    from registry.split_spec import OFF, parse_split

    spec = parse_split(text)
    aliases = store.models.get(model).aliases
    if version is None and not spec.is_off and CHALLENGER not in aliases:
        version = max(v.version for v in store.versions.of(model))
    if version is not None:
        if version == aliases.get(PRODUCTION):
            raise InvalidSplit(
                f"challenger: expected another version than production, got {version}",
                remedy=f"slipway versions {model}, then --version N",
            )
        known = store.versions.get(model, version).version
        if known != aliases.get(CHALLENGER):
            # Until the split is set, the new challenger must not get the share of the old one.
            store.models.set_tag(model, TAG_CHALLENGER_SPLIT, OFF)
            store.models.set_alias(model, known, CHALLENGER)
    store.models.set_tag(model, TAG_CHALLENGER_SPLIT, spec.text)
