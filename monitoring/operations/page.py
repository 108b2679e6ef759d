"""The operations page as HTML: a table of all models, then each model's blocks.

One file without requests. Its only script, which the page's policy names by its digest, keeps the
ages of the sources right.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from hashlib import sha256
from importlib import resources
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

from markupsafe import Markup

from contracts.names import Layout
from contracts.times import utc_text
from contracts.verdict import Verdict
from monitoring.alerting.episodes import Episode
from monitoring.operations import sparklines, undo
from monitoring.operations.freshness import HOUR_S, MINUTE_S, Freshness, age_text, missing
from monitoring.operations.model_operations import ModelOperations, Operations
from monitoring.operations.service_counts import RequestCounts
from monitoring.reporting.verdict_index import DECISION_COLOURS
from monitoring.verdicts.summary import METRIC_NAMES, time_range_text
from pages.formats import format_minute
from pages.render import render
from registry.heartbeat import HEARTBEAT_FILE

PAGE_STALE_S = HOUR_S
FOLLOWER_STALE_S = 2 * MINUTE_S
MAX_LISTED_CODES = 4
"""Codes of refusals that are listed."""


def operations_html(layout: Layout, operations: Operations) -> str:
    """The page of all models; `layout` says whether the follower lives."""
    service = operations.service
    return render(
        "monitoring/operations/page.html.j2",
        now=operations.made_at,
        page_freshness=Freshness(operations.made_at, PAGE_STALE_S),
        registry=operations.registry,
        service=service,
        follower=_follower(layout),
        models=[_view(model, operations) for model in operations.models],
        n_alerts=sum(len(model.alerts.episodes) for model in operations.models),
        metrics=METRIC_NAMES,
        age_text=age_text,
        minute_of=minute_of,
        time_range_text=time_range_text,
        script=Markup(page_script()),  # noqa: S704 - our own file, see page.js
        script_hash=script_hash(),
    )


@cache
def page_script() -> str:
    """The script that keeps the ages right."""
    return resources.files("monitoring.operations").joinpath("page.js").read_text(encoding="utf-8")


@cache
def script_hash() -> str:
    """The digest by which the page's policy allows its script, and no other."""
    return f"sha256-{b64encode(sha256(page_script().encode()).digest()).decode()}"


def minute_of(time: datetime) -> str:
    """The minute of a time in UTC, as people write it.

    >>> minute_of(datetime(2026, 1, 31, 12, 0, 9, tzinfo=UTC))
    '2026-01-31 12:00'
    """
    return format_minute(utc_text(time))


@dataclass(frozen=True)
class _View:
    """What the template shows of one model besides `ModelOperations`."""

    colour: str
    newest: Verdict | None
    newest_colour: str
    reports: dict[str, str]
    counts: RequestCounts | None
    row_bars: Markup
    latency_lines: Markup
    squares: Markup
    performance_lines: Markup
    rollout_freshness: Freshness
    version_url: str


def _view(model: ModelOperations, operations: Operations) -> dict[str, Any]:
    """A model's fields and drawings, by the names that the template uses."""
    newest = model.newest_verdict
    hours = model.traffic.hours if model.traffic is not None else ()
    view = _View(
        colour=_colour(model),
        newest=newest,
        newest_colour=DECISION_COLOURS.get(newest.decision, "") if newest is not None else "",
        reports=_reports(model.verdicts),
        counts=operations.service.models.get(model.name),
        row_bars=sparklines.row_bars(hours),
        latency_lines=sparklines.latency_lines(hours),
        squares=sparklines.verdict_squares(model.verdicts),
        performance_lines=sparklines.performance_lines(model.performance)
        if model.performance is not None
        else Markup(),
        rollout_freshness=Freshness(operations.registry.read_at)
        if model.rollout is not None
        else missing("the registry does not say", "slipway doctor"),
        version_url=_version_url(model, operations),
    )
    return {
        **vars(model),
        **vars(view),
        "is_unused": model.is_unused,
        "top_codes": _top_codes(view.counts),
        "undo_production": undo.undo_production(model),
        "undo_challenger": undo.undo_challenger(model),
        "undo_shadow": undo.undo_shadow(model),
        "undo_retraining": undo.undo_retraining(model),
        "episodes": [_episode(model, episode) for episode in model.alerts.episodes],
    }


def _top_codes(counts: RequestCounts | None) -> list[tuple[str, int]]:
    """The most frequent refusals, by code."""
    found = counts.by_code.items() if counts is not None else ()
    return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:MAX_LISTED_CODES]


def _episode(model: ModelOperations, episode: Episode) -> dict[str, str]:
    """An open alert, with what the newest verdict says of it and what ends it."""
    newest = model.newest_verdict
    sentence = ""
    if newest is not None:
        sentence = next((c.sentence for c in newest.alarms if c.kind == episode.kind), "")
    return {
        "kind": episode.kind.replace("_", " "),
        "since": episode.since,
        "verdict_id": episode.verdict_id,
        "sentence": sentence,
        "command": undo.end_alert(model, episode.kind, episode.verdict_id),
        "verb": undo.ALERT_VERBS.get(episode.kind, "look again"),
    }


def _reports(verdicts: Sequence[Verdict]) -> dict[str, str]:
    """The file of each verdict's report, by the verdict's id."""
    return {v.verdict_id: PurePath(v.report).name for v in verdicts if v.report}


def _colour(model: ModelOperations) -> str:
    """The worst of what is open: an alert, a drift, or nothing."""
    kinds = {episode.kind for episode in model.alerts.episodes}
    if kinds - {"drift"} or model.alerts_failure:
        return "bad"
    if kinds:
        return "warn"
    newest = model.newest_verdict
    return DECISION_COLOURS.get(newest.decision, "") if newest is not None else ""


def _version_url(model: ModelOperations, operations: Operations) -> str:
    """The version's page in MLflow's web interface, or nothing if it has no web address."""
    store = operations.registry.store
    tracking_uri = store.tracking_uri if store is not None else ""
    if model.production is None or not tracking_uri.startswith("http"):
        return ""
    # Everyone who reads the page would read a password in the address, too.
    parts = urlsplit(tracking_uri)
    address = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    return f"{address.rstrip('/')}/#/models/{model.name}/versions/{model.production.version}"


def _follower(layout: Layout) -> Freshness:
    """When the follower last reached the registry."""
    try:
        changed_at = datetime.fromtimestamp((layout.metrics / HEARTBEAT_FILE).stat().st_mtime, UTC)
    except OSError:
        return missing("has not run here", "slipway follow")
    return Freshness(changed_at, FOLLOWER_STALE_S, command="slipway follow")
