"""`slipway demo`: the whole loop in one command, with real parts and real numbers."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from contracts.errors import GateRefused
from slipway import context, output, tables
from slipway.commands.monitor import judge_window
from slipway.commands.promote import promote_version
from slipway.commands.simulate import send_rows
from slipway.options import OPERATE, JsonOption

if TYPE_CHECKING:
    from contracts.verdict import Verdict
    from slipway.load_client import LoadResult
    from training.run import TrainedVersion

app = typer.Typer()

LABELS_EXAMPLE = "offer"
"""Shows labels, A/B analysis and retraining, step by step: docs/first-labels.md."""

ReportProgress = Callable[[str, str], None]
"""Prints the progress of a step."""


@dataclass(frozen=True)
class JudgedWindow:
    """A window of simulated traffic: what the client measured, and the monitor's verdict."""

    traffic: str
    load: "LoadResult"
    verdict: "Verdict"


@dataclass(frozen=True)
class ModelStory:
    """What the demo did with one model."""

    trained: "TrainedVersion"
    promotion: str
    windows: tuple[JudgedWindow, ...]


@dataclass(frozen=True)
class _Sent:
    model: str
    traffic: str
    load: "LoadResult"
    start: datetime
    end: datetime


@app.command("demo", rich_help_panel=OPERATE, epilog="Example: slipway demo --port 3001")
def demo_command(
    port: Annotated[int, typer.Option(help="Port of the service.")] = 3000,
    rows: Annotated[int, typer.Option(min=500, help="Requests per model and window.")] = 2000,
    json: JsonOption = False,
) -> None:
    """Run the whole loop: train, promote, serve, simulate traffic, judge it."""
    stories = run_demo(Path.cwd(), port=port, rows=rows, report=_reporter(quiet=json))
    if json:
        output.as_json(stories)
    else:
        _show_stories(stories)


def run_demo(root: Path, *, port: int, rows: int, report: ReportProgress) -> list[ModelStory]:
    """Train, promote and serve every recipe but that for labels, send traffic, and judge it.

    Raises:
        PortTaken: another process listens on `port`; nothing has been started then.

    """
    from services.bento.port import check_port
    from slipway.service_process import running_service

    check_port("127.0.0.1", port)
    trained = _train_all(report)
    promotions = {each.name: _promote(each, report) for each in trained}
    report("serve", f"starting bentoml serve on http://127.0.0.1:{port}")
    log = context.layout().var / "demo" / "service.log"
    with running_service(root, port, log) as url:
        sent = [
            _send(url, each.name, rows, traffic, report)
            for each in trained
            for traffic in ("like training", "drifted")
        ]
    report("serve", "stopped, nothing is left running")
    windows = [_judge(each, report) for each in sent]
    return [
        ModelStory(
            each,
            promotions[each.name],
            tuple(window for window in windows if window.verdict.model == each.name),
        )
        for each in trained
    ]


def _reporter(*, quiet: bool) -> ReportProgress:
    started = time.monotonic()

    def report(step: str, text: str) -> None:
        if not quiet:
            passed = f"{time.monotonic() - started:5.1f} s"
            output.say(f" {step:<8} {text}", label=passed, style="dim")

    return report


def _train_all(report: ReportProgress) -> list["TrainedVersion"]:
    report("train", "loading scikit-learn and MLflow")
    from training.available import base_recipes
    from training.recipe import load_recipe
    from training.run import train_recipe

    store = context.store()
    trained = []
    for name in base_recipes():
        if name == LABELS_EXAMPLE:
            continue
        report("train", f"{name} ...")
        trained.append(train_recipe(load_recipe(name), store))
        report("train", f"{name} is version {trained[-1].version}, certified and registered")
    return trained


def _promote(trained: "TrainedVersion", report: ReportProgress) -> str:
    """Promote the version if it passes the gate; if not, the old one stays Production."""
    try:
        promotion = promote_version(trained.name, trained.version, because="make demo")
    except GateRefused as refusal:
        sentence = refusal.what
    else:
        sentence = promotion.sentence
    report("promote", sentence)
    return sentence


def _send(url: str, model: str, rows: int, traffic: str, report: ReportProgress) -> _Sent:
    report("simulate", f"{rows} requests to {model}, {traffic}")
    start = datetime.now(UTC)
    load = send_rows(url, model, rows, drifted=traffic == "drifted")
    report("simulate", f"{load.requests_per_s:,.0f} requests/s, p99 {load.p99_ms:.3g} ms")
    return _Sent(model, traffic, load, start, datetime.now(UTC))


def _judge(sent: _Sent, report: ReportProgress) -> JudgedWindow:
    report("monitor", f"judging the traffic of {sent.model} ({sent.traffic})")
    verdict = judge_window(sent.model, sent.start, sent.end)
    report("monitor", verdict.sentence)
    return JudgedWindow(sent.traffic, sent.load, verdict)


def _show_stories(stories: list[ModelStory]) -> None:
    trained = (tables.trained_row(story.trained) for story in stories)
    windows = (
        tables.window_row(story.trained.name, window.traffic, window.load.errors, window.verdict)
        for story in stories
        for window in story.windows
    )
    output.say()
    output.table("Models", tables.TRAINED_COLUMNS, trained)
    output.table("Traffic and verdicts", tables.WINDOW_COLUMNS, windows)
    drifted = (w.verdict.report for s in stories for w in s.windows if w.traffic == "drifted")
    output.say("Next:")
    for what, how in (
        ("a drift report", next(drifted)),
        ("runs, models, plots", "mlflow ui            then http://127.0.0.1:5000"),
        ("the service", "bentoml serve        then http://127.0.0.1:3000"),
        ("the history", "slipway history loan"),
        ("an image", "bentoml build && bentoml containerize predictor:latest"),
    ):
        output.say(f"  {what:<20} {how}", soft_wrap=True)
    output.say("  (source .venv/bin/activate first)")
