"""The whole loop in one command, with real parts and real numbers."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from contracts.errors import GateRefused
from contracts.verdict import Verdict
from services.bento.port import check_port
from slipway import context, output
from slipway.service_process import running_service

if TYPE_CHECKING:
    from slipway.load_client import LoadResult
    from training.run import TrainedVersion


SHOWN = 2
"""Columns that drifted, in the last table."""


@dataclass(frozen=True)
class Judged:
    """A window of traffic: what the client saw, and what the monitor said."""

    traffic: str
    load: "LoadResult"
    verdict: Verdict


@dataclass(frozen=True)
class ModelStory:
    """What the demo did with one model."""

    trained: "TrainedVersion"
    promotion: str
    windows: tuple[Judged, ...]


def run_demo(root: Path, *, port: int, rows: int, json_wanted: bool) -> list[ModelStory]:
    """Train, promote, serve, send traffic and judge it; ends with the numbers on the screen.

    Raises:
        PortTaken: another process listens on `port`; nothing has been started then.

    """
    check_port("127.0.0.1", port)
    say = _teller(quiet=json_wanted)
    trained = _train_all(say)
    promotions = {t.name: _promote(t, say) for t in trained}
    say("serve", f"starting bentoml serve on http://127.0.0.1:{port}")
    log = context.layout().var / "demo" / "service.log"
    sent = []
    with running_service(root, port, log) as url:
        for t in trained:
            sent.append(_send(url, t.name, rows, "like training", say))
            sent.append(_send(url, t.name, rows, "drifted", say))
    say("serve", "stopped, nothing is left running")
    judged = [_judge(name, kind, load, window, say) for name, kind, load, window in sent]
    stories = [
        ModelStory(t, promotions[t.name], tuple(j for j in judged if j.verdict.model == t.name))
        for t in trained
    ]
    if json_wanted:
        output.as_json(stories)
    else:
        _print_summary(stories)
    return stories


_Say = Callable[[str, str], None]
_Sent = tuple[str, str, "LoadResult", tuple[datetime, datetime]]


def _teller(*, quiet: bool) -> _Say:
    begin = time.monotonic()

    def say(station: str, text: str) -> None:
        if not quiet:
            output.say(f"[dim]{time.monotonic() - begin:5.1f} s[/dim]  {station:<8} {text}")

    return say


def _train_all(say: _Say) -> list["TrainedVersion"]:
    say("train", "loading scikit-learn and MLflow")
    from training.recipe import load_recipe, recipe_names
    from training.run import train_recipe

    store = context.store()
    trained = []
    for name in recipe_names():
        say("train", f"{name} ...")
        trained.append(train_recipe(load_recipe(name), store))
        say("train", f"{name} is version {trained[-1].version}, certified and registered")
    return trained


def _promote(trained: "TrainedVersion", say: _Say) -> str:
    """Promote if the gate agrees; a refusal is an answer as well, and the old one stays."""
    try:
        promotion = context.promote(trained.name, trained.version, because="make demo", force=False)
    except GateRefused as refusal:
        sentence = refusal.what
    else:
        sentence = promotion.sentence
    say("promote", sentence)
    return sentence


def _send(url: str, name: str, rows: int, kind: str, say: _Say) -> _Sent:
    say("traffic", f"{rows} requests to {name}, {kind}")
    start = datetime.now(UTC)
    load = context.send(url, name, rows, drifted=kind == "drifted", connections=16, seed=1)
    say("traffic", f"{load.requests_per_s:,.0f} requests/s, p99 {load.p99_ms:.3g} ms")
    return name, kind, load, (start, datetime.now(UTC))


def _judge(
    name: str, kind: str, load: "LoadResult", window: tuple[datetime, datetime], say: _Say
) -> Judged:
    say("monitor", f"judging the traffic of {name} ({kind})")
    verdict = context.judge(name, *window, datetime.now(UTC))
    say("monitor", verdict.sentence)
    return Judged(kind, load, verdict)


def _print_summary(stories: list[ModelStory]) -> None:
    output.say()
    output.table(
        "Models", context.TRAINED_COLUMNS, (context.trained_row(s.trained) for s in stories)
    )
    output.table(
        "Traffic and verdicts",
        ("model", "traffic", "failed", "verdict", "drifted"),
        (_window_row(story, judged) for story in stories for judged in story.windows),
    )
    report = next(j.verdict.report for s in stories for j in s.windows if j.traffic == "drifted")
    output.say("Look further:")
    for what, how in (
        ("a drift report", report),
        ("runs, models, plots", "mlflow ui            then http://127.0.0.1:5000"),
        ("the service", "bentoml serve        then http://127.0.0.1:3000"),
        ("the history", "slipway history loan"),
        ("an image", "bentoml build && bentoml containerize predictor:latest"),
    ):
        output.say(f"  {what:<20} {how}", soft_wrap=True)
    output.say("  (source .venv/bin/activate first)")


def _in_short(columns: list[str]) -> str:
    """Two columns and how many more: all of them are in the report."""
    more = f" and {len(columns) - SHOWN} more" if len(columns) > SHOWN else ""
    return ", ".join(columns[:SHOWN]) + more or "-"


def _window_row(story: ModelStory, judged: Judged) -> tuple[object, ...]:
    drifted = [f.column for f in judged.verdict.findings if f.drifted]
    return (
        f"{story.trained.name} {judged.verdict.version}",
        judged.traffic,
        judged.load.errors,
        judged.verdict.decision,
        _in_short(drifted),
    )
