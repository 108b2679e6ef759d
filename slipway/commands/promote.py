"""`slipway promote` and `slipway rollback`: which version is Production."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import InvalidData
from slipway import context, output
from slipway.durations import parse_duration
from slipway.options import TRAIN, BecauseOption, JsonOption, ModelArgument
from slipway.progress import working
from slipway.shares import parse_share

if TYPE_CHECKING:
    from contracts.decision import Check, Decision
    from registry.gate import Comparison
    from registry.promote import Promotion

app = typer.Typer()

VersionCheck = Callable[[int, int], "Check"]
"""One more check of the gate, for the versions of challenger and Production."""


@app.command(
    "promote",
    rich_help_panel=TRAIN,
    epilog='Example: slipway promote loan --version 7 --because "better on 2026 data"',
)
def promote_command(
    model: ModelArgument,
    version: Annotated[
        int | None, typer.Option(help="Version to promote; default: the newest.")
    ] = None,
    because: BecauseOption = "",
    force: Annotated[
        bool, typer.Option(help="Promote even if the gate refuses; requires --because.")
    ] = False,
    window: Annotated[
        str, typer.Option("--replay", help="Replay this much of Production's traffic: 7d.")
    ] = "",
    max_flips: Annotated[
        str, typer.Option(help="Maximum share of changed decisions in the replay: 2%.")
    ] = "",
    json: JsonOption = False,
) -> None:
    """Make a version the Production version, if it passes the gate."""
    check = replay_check(model, window, max_flips)
    with working(f"judging the new version of {model}"):
        promotion = promote_version(model, version, because=because, force=force, check=check)
    _show_promotion(promotion, json_wanted=json)


@app.command(
    "rollback",
    rich_help_panel=TRAIN,
    epilog="Example: slipway rollback loan, or slipway rollback loan --to 3",
)
def rollback_command(
    model: ModelArgument,
    to: Annotated[
        int | None,
        typer.Option(help="Version to return to; default: the previous Production version."),
    ] = None,
    because: BecauseOption = "",
    json: JsonOption = False,
) -> None:
    """Make an earlier Production version the Production version again."""
    from registry.rollback import rollback

    promotion = rollback(context.store(), model, to=to, actor=context.actor(), because=because)
    _show_promotion(promotion, json_wanted=json)


def promote_version(
    model: str,
    version: int | None,
    *,
    because: str,
    force: bool = False,
    check: VersionCheck | None = None,
) -> "Promotion":
    """Promote a version (default: the newest) if it passes the gate; the decision is logged.

    The gate compares it with Production on the same held-out rows; `check` is added to its
    checks.

    Raises:
        GateRefused: the version is not surely better, and `force` is false.
        NotRegistered: there is no such model or version.

    """
    from registry.promote import promote

    store = context.store()

    def compare(challenger: int, production: int) -> "Comparison":
        from training.evaluation.compare import compare_by_name

        comparison = compare_by_name(store, context.layout(), model, challenger, production)
        if check is None:
            return comparison
        return replace(comparison, checks=(*comparison.checks, check(challenger, production)))

    def keep(decision: "Decision") -> None:
        from training.evaluation.decision_log import log_decision

        log_decision(store, decision)

    return promote(
        store,
        model,
        version,
        actor=context.actor(),
        because=because,
        force=force,
        compare=compare,
        keep=keep,
    )


def replay_check(model: str, window: str, max_flips: str) -> VersionCheck | None:
    """What `--replay 7d --max-flips 2%` adds to the gate; None without them.

    The check replays Production's traffic of the window through the challenger. The replay is
    stored, and logged to the challenger's run.

    Raises:
        InvalidData: a duration or share that cannot be parsed, or a share without a window.

    """
    if not window:
        if max_flips:
            raise InvalidData(
                "--max-flips: expected --replay with it, got none",
                remedy=f"for example --replay 7d --max-flips {max_flips}",
            )
        return None
    duration = parse_duration(window, "--replay")
    max_share = parse_share(max_flips, "--max-flips") if max_flips else None

    def check(challenger: int, production: int) -> "Check":
        from monitoring.baseline import find_baseline
        from monitoring.replay.gate import flips_check
        from monitoring.replay.page import write_replay
        from monitoring.replay.run import ReplayRequest, replay
        from monitoring.reporting.mlflow import log_to_run
        from monitoring.traffic.window import TimeWindow

        now, store = datetime.now(UTC), context.store()
        baseline = find_baseline(store, context.layout(), model, challenger)
        request = ReplayRequest(TimeWindow(model, production, now - duration, now))
        document = replay(context.layout(), baseline, request, now=now)
        files = write_replay(context.layout(), document)
        log_to_run(store.tracking_uri, baseline.manifest.run_id, list(files))
        return flips_check(document, max_share)

    return check


def _show_promotion(promotion: "Promotion", *, json_wanted: bool) -> None:
    """Print what a promotion or rollback changed, and where its decision is."""
    if json_wanted:
        output.as_json(promotion)
        return
    output.say(promotion.sentence)
    decision = promotion.decision
    if decision is not None:
        from registry.promote import decision_page

        page = decision_page(context.store(), decision.run_id, decision.decision_id)
        output.say(f"why: {decision.sentence}", soft_wrap=True)
        output.say(f"every check: {page}", soft_wrap=True)
        if promotion.from_version is not None:
            output.say(f"undo: slipway rollback {promotion.name}")
