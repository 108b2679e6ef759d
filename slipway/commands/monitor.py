"""`slipway monitor` and `slipway accept`: verdicts on windows of traffic."""

import sys
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import InvalidUsage, PlatformError
from contracts.names import Layout
from contracts.printable import log_to_stderr
from slipway import context, output, tables
from slipway.completion import complete_verdict
from slipway.durations import parse_duration, time_range
from slipway.options import MONITOR, EndOption, JsonOption, LastOption, ModelArgument, StartOption
from slipway.progress import working

if TYPE_CHECKING:
    from contracts.verdict import Verdict
    from monitoring.retraining.watcher import RetrainingWatcher
    from monitoring.scheduler import Judge

app = typer.Typer()


@app.command(
    "monitor",
    rich_help_panel=MONITOR,
    epilog="Example: slipway monitor loan --last 24h, or slipway monitor loan --every 15m",
)
def monitor_command(
    model: ModelArgument,
    last: LastOption = "24h",
    start: StartOption = "",
    end: EndOption = "",
    version: Annotated[
        int | None, typer.Option(help="Version to judge; default: the served one.")
    ] = None,
    every: Annotated[
        str, typer.Option(help="Keep running: judge every window of this length: 15m, 1h, 1d.")
    ] = "",
    retrain: Annotated[
        bool,
        typer.Option(help="With --every: retrain and promote when a verdict calls for it."),
    ] = False,
    workspace: Annotated[
        bool, typer.Option(help="Also write a snapshot for `evidently ui`, to var/evidently.")
    ] = False,
    segment: Annotated[
        list[str] | None,
        typer.Option(help="Break drift down by this feature; default: those of the recipe."),
    ] = None,
    scored: Annotated[
        str, typer.Option(help="Judge an output of `slipway score` instead of a window of time.")
    ] = "",
    json: JsonOption = False,
) -> None:
    """Judge a window of traffic against the model's reference, and draw the report."""
    _check_options(model, every, scored, retrain=retrain)
    if every:
        judge = partial(judge_window, model, segments=segment, workspace=workspace)
        _judge_every(model, every, judge, retrain=retrain, json_wanted=json)
        return
    with working(f"judging {model}"):
        if scored:
            verdict = judge_scored(model, Path(scored), segments=segment, workspace=workspace)
        else:
            window = time_range(last, start, end, datetime.now(UTC))
            verdict = judge_window(
                model, *window, version=version, segments=segment, workspace=workspace
            )
    _after_verdict(model)
    if json:
        output.as_json(verdict)
    else:
        _show_verdict(verdict, workspace=workspace)
    if verdict.decision == "failed":
        raise typer.Exit(1)


@app.command(
    "accept",
    rich_help_panel=MONITOR,
    epilog='Example: slipway accept loan VERDICT_ID --because "sale, as every July"',
)
def accept_command(
    model: ModelArgument,
    verdict: Annotated[
        str,
        typer.Argument(
            help="ID of a verdict.", metavar="VERDICT_ID", autocompletion=complete_verdict
        ),
    ],
    because: Annotated[str, typer.Option(help="Why the window is usual.")],
    json: JsonOption = False,
) -> None:
    """Accept a flagged window as usual: drift limits are learned from it, too."""
    from monitoring.verdicts.acceptance import accept

    acceptance = accept(
        context.layout(), model, verdict, who=context.actor(), why=because, now=datetime.now(UTC)
    )
    if json:
        output.as_json(acceptance)
    else:
        output.say(f"{verdict} is accepted as usual by {acceptance.who}: {acceptance.why}")


def judge_window(
    model: str,
    start: datetime,
    end: datetime,
    *,
    version: int | None = None,
    segments: Sequence[str] | None = None,
    workspace: bool = False,
    layout: Layout | None = None,
) -> "Verdict":
    """The verdict on a window of a model's traffic; its report is drawn and logged.

    `layout` is where the traffic is; None for that of this machine.
    """
    from monitoring.monitor import run

    return run(
        context.store(),
        layout or context.layout(),
        model,
        start=start,
        end=end,
        settings=context.monitoring_settings(),
        now=datetime.now(UTC),
        version=version,
        segments=segments,
        workspace=workspace,
    )


def judge_scored(
    model: str, scored: Path, *, segments: Sequence[str] | None = None, workspace: bool = False
) -> "Verdict":
    """The verdict on an output of `slipway score`, by the version that made it."""
    from monitoring.traffic.scored import scored_window

    window = scored_window(context.layout(), model, scored)
    return judge_window(
        model,
        window.start,
        window.end,
        version=window.version,
        segments=segments,
        workspace=workspace,
        layout=window.layout,
    )


def _check_options(model: str, every: str, scored: str, *, retrain: bool) -> None:
    """Refuse options that exclude or need each other.

    Raises:
        InvalidUsage: naming them.

    """
    if retrain and not every:
        raise InvalidUsage(
            "--retrain: expected --every with it, got none",
            remedy=f"for example: slipway monitor {model} --every 15m --retrain",
        )
    if scored and every:
        raise InvalidUsage(
            "--scored: expected no --every with it: an output is one window",
            remedy=f"slipway monitor {model} --scored {scored}",
        )


def _judge_every(
    model: str, every: str, judge: "Judge", *, retrain: bool, json_wanted: bool
) -> None:
    """Judge each window of the model's traffic once it is over, until Ctrl+C.

    With `retrain`, a verdict that calls for it starts a retraining in a process.
    """
    from monitoring.alerting.notify import addresses_of
    from monitoring.scheduler import Scheduler

    # Checked once and first: the scheduler would report a bad address after every window.
    addresses_of(context.monitoring_settings().notify)
    watcher = _watcher(model) if retrain else None

    def report(verdict: "Verdict") -> None:
        if watcher is not None:
            watcher.consider(verdict)
        if json_wanted:
            output.as_json(verdict)
        else:
            output.say(f"{verdict.sentence}\nreport: {verdict.report}")
        _after_verdict(model)

    log_to_stderr("%(asctime)s [%(levelname)s] %(message)s")
    length = parse_duration(every, "--every")
    scheduler = Scheduler(context.store(), context.layout(), model, length, judge)
    with suppress(KeyboardInterrupt):
        scheduler.run(report)


def _watcher(model: str) -> "RetrainingWatcher":
    from monitoring.retraining.watcher import RetrainingWatcher

    return RetrainingWatcher(
        context.store(), context.layout(), model, context.monitoring_settings(), _retrain_command
    )


def _retrain_command(model: str, verdict_id: str) -> list[str]:
    command = [sys.executable, "-m", "slipway", "retrain", model]
    return [*command, "--because", verdict_id, "--promote"]


def _after_verdict(model: str) -> None:
    """Write the operations page of all models, and report what could not be done."""
    from slipway.operations import write_current_page

    try:
        write_current_page(context.monitoring_settings().service_url)
    except PlatformError as err:
        output.warn(f"the operations page was not written: {err}")
    _warn_of_unsent(model)


def _warn_of_unsent(model: str) -> None:
    """Report on standard error which alerts have not reached everyone."""
    from monitoring.alerting.outbox import pending

    for message in pending(context.layout(), model):
        output.warn(
            f"not delivered yet: {message.title} ({message.failure or 'not tried'})\n"
            "help: it is tried again at the next window; see SLIPWAY_MONITORING_NOTIFY"
        )


def _show_verdict(verdict: "Verdict", *, workspace: bool) -> None:
    output.say(verdict.sentence)
    if verdict.decision == "no_traffic":
        output.say(f"no traffic in {context.layout().traffic(verdict.model)}; see docs/verdict.md")
    if verdict.findings:
        output.table("Columns", tables.FINDING_COLUMNS, map(tables.finding_row, verdict.findings))
    for fault in verdict.quality:
        output.say(f"{fault.column}: {fault.detail}", label=fault.fault, style="yellow")
    output.say(f"report: {verdict.report}")
    if workspace:
        path = context.layout().evidently
        output.say(f"snapshot: evidently ui --workspace {path}", soft_wrap=True)
