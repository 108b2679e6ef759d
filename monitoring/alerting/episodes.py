"""Which verdicts people are alerted to: pure functions of what is known and of a new verdict.

An episode is the windows in which one condition alarms, from the first in which it is confirmed
to the next window in which it is clear, or accepted. Each condition has episodes of its own. A
window in which a condition was not judged neither starts nor ends one. Windows without any traffic
are an episode once they have lasted for as long as the policy says, and it ends with the next
prediction. An episode causes one message when it starts and one when it ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
from msgspec.structs import replace

from contracts.documents import Document
from contracts.times import parse_utc
from contracts.verdict import ConditionKind, Finding, Verdict

EpisodeKind = Literal[
    "delivery", "quality", "performance", "drift", "no_traffic", "unreadable", "failed"
]
"""A condition, or what makes a window's delivery fail as a whole."""
UNDELIVERED: frozenset[str] = frozenset({"unreadable", "failed"})
GROWTH = 1.5
"""A drift that goes on is reported again at this many times the effect last reported."""
MAX_GROWN_NAMED = 5
MAX_REMEMBERED = 100
"""Messages whose windows may be judged again without a second message."""


@dataclass(frozen=True)
class AlertPolicy:
    """How long windows without traffic must last before they cause a message.

    They must last for `quiet_s` seconds (0: never a message). How long other conditions must
    last is judged with the window (`Condition.confirmed`).
    """

    quiet_s: float = 0.0


AT_ONCE = AlertPolicy()


class Episode(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Windows in which one condition alarms; `since` is the start of the first.

    `reported` has, for a drift, the effect of each column when people last heard of it, in units of
    its limit: another effect may be the largest next time.
    """

    kind: EpisodeKind
    since: str
    verdict_id: str
    reported: dict[str, float] = {}


class AlertMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message; `to` are the digests of the addresses that have not received it yet."""

    key: str
    title: str
    body: str
    resolved: bool
    to: tuple[str, ...]
    failure: str = ""


class Alerts(Document, frozen=True, kw_only=True):
    """A model's episodes under way, the messages made, and those still to be delivered.

    `made` are keys of messages. `quiet_since` is the start of the first of the windows without
    traffic, up to the newest.
    """

    episodes: tuple[Episode, ...] = ()
    made: tuple[str, ...] = msgspec.field(default=(), name="told")
    pending: tuple[AlertMessage, ...] = msgspec.field(default=(), name="unsent")
    quiet_since: str = ""


def alerts_after(
    alerts: Alerts, verdict: Verdict, to: Sequence[str], policy: AlertPolicy = AT_ONCE
) -> Alerts:
    """What is known after a verdict; `to` are the digests of the addresses for its message."""
    alerts = _with_silence(alerts, verdict, to, policy.quiet_s)
    over = tuple(e for e in alerts.episodes if is_over(e.kind, verdict))
    if over:
        left = tuple(e for e in alerts.episodes if e not in over)
        alerts = _with_message(alerts, left, _resolved(verdict, over, to))
    under_way = {episode.kind for episode in alerts.episodes}
    for kind, since in alarms_of(verdict).items():
        if kind not in under_way:
            episodes = (*alerts.episodes, _started(verdict, kind, since))
            alerts = _with_message(alerts, episodes, _alarm(verdict, kind, to))
    return _with_growth(alerts, verdict, to)


def _with_growth(alerts: Alerts, verdict: Verdict, to: Sequence[str]) -> Alerts:
    """A drift that goes on is reported again for a further column, or one that has grown much.

    Much is by half, and by its limit: a slow drift causes a few messages on its way, and a jump
    on top of it one of its own.
    """
    episode = next((e for e in alerts.episodes if e.kind == "drift"), None)
    if episode is None or not verdict.condition("drift").is_alarming:
        return alerts
    grown = [
        f
        for f in verdict.findings
        if f.drifted
        and not f.learning
        and f.windows > 1
        and _is_growth(f, episode.reported.get(f.column, 0.0))
    ]
    if not grown:
        return alerts
    levels = episode.reported | {f.column: _strength(f) for f in grown}
    episodes = tuple(replace(e, reported=levels) if e is episode else e for e in alerts.episodes)
    if episode.verdict_id == verdict.verdict_id or not episode.reported:
        # The first message of the episode names these columns already.
        return replace(alerts, episodes=episodes)
    names = ", ".join(f.column for f in grown[:MAX_GROWN_NAMED])
    message = replace(
        _alarm(verdict, "drift", to),
        key=f"{verdict.verdict_id} drift grown",
        body=f"More drift since the last message: {names}.\n{_body(verdict)}",
    )
    return _with_message(alerts, episodes, message)


def _is_growth(finding: Finding, reported: float) -> bool:
    now = _strength(finding)
    return not reported or (now - reported >= 1 and now >= GROWTH * reported)


def _strength(finding: Finding) -> float:
    return finding.effect_size / finding.effect_threshold


def alarms_of(verdict: Verdict) -> dict[EpisodeKind, str]:
    """What a verdict alerts people to, and since when: confirmed conditions only.

    Windows without traffic are not among them, since only time makes them an alarm.
    """
    found: dict[EpisodeKind, str] = {}
    for condition in verdict.alarms:
        if condition.kind == "delivery" and verdict.decision in UNDELIVERED | {"no_traffic"}:
            continue
        if condition.confirmed:
            found[condition.kind] = condition.since or verdict.window.start
    if verdict.decision in {"unreadable", "failed"}:
        found[verdict.decision] = verdict.window.start
    return found


def is_over(kind: EpisodeKind, verdict: Verdict) -> bool:
    """Whether a verdict ends an episode of this kind."""
    if kind == "no_traffic":
        return False
    judged_as = "delivery" if kind in UNDELIVERED else kind
    return any(c.kind == judged_as and c.state in {"clear", "accepted"} for c in verdict.conditions)


def alarm_start(
    verdict: Verdict,
    earlier: Sequence[Verdict],
    kind: ConditionKind,
    *,
    of_labels: bool = False,
) -> str:
    """The start of the first window in which a condition alarmed since it was last clear.

    `earlier` are the verdicts before this one, by time; with no alarming one among them, the
    alarm starts with this verdict's window. With `of_labels`, starts are those of the windows
    whose labels were judged, which are earlier by the label delay.
    """

    def start_of(judged: Verdict) -> str:
        if of_labels and judged.performance is not None:
            return judged.performance.start or judged.window.start
        return judged.window.start

    start = start_of(verdict)
    for before in reversed(earlier):
        condition = before.condition(kind)
        if condition.state in {"clear", "accepted"}:
            break
        if condition.is_alarming:
            start = min(start, start_of(before))
    return start


def received(alerts: Alerts, key: str, digest: str) -> Alerts:
    """What is known once an address has received a message."""
    left = [
        replace(m, to=tuple(d for d in m.to if d != digest)) if m.key == key else m
        for m in alerts.pending
    ]
    return replace(alerts, pending=tuple(m for m in left if m.to))


def failed(alerts: Alerts, key: str, why: str) -> Alerts:
    """What is known once a message could not be delivered to an address."""
    noted = [replace(m, failure=why) if m.key == key else m for m in alerts.pending]
    return replace(alerts, pending=tuple(noted))


def _with_silence(alerts: Alerts, verdict: Verdict, to: Sequence[str], quiet_s: float) -> Alerts:
    """Start an episode once windows without traffic have lasted; end it when one has rows."""
    silent = tuple(episode for episode in alerts.episodes if episode.kind == "no_traffic")
    if verdict.decision != "no_traffic":
        alerts = replace(alerts, quiet_since="")
        if not silent:
            return alerts
        others = tuple(episode for episode in alerts.episodes if episode not in silent)
        return _with_message(alerts, others, _resolved(verdict, silent, to))
    since = alerts.quiet_since or verdict.window.start
    alerts = replace(alerts, quiet_since=since)
    lasted_s = (parse_utc(verdict.window.end) - parse_utc(since)).total_seconds()
    if silent or not quiet_s or lasted_s < quiet_s:
        return alerts
    episodes = (*alerts.episodes, _started(verdict, "no_traffic", since))
    return _with_message(alerts, episodes, _alarm(verdict, "no_traffic", to))


def _started(verdict: Verdict, kind: EpisodeKind, since: str) -> Episode:
    return Episode(kind=kind, since=since, verdict_id=verdict.verdict_id)


def _with_message(alerts: Alerts, episodes: tuple[Episode, ...], message: AlertMessage) -> Alerts:
    """The episodes as they are now, and their message among the pending ones, once."""
    if message.key in alerts.made or not message.to:
        return replace(alerts, episodes=episodes)
    made = (*alerts.made, message.key)[-MAX_REMEMBERED:]
    return replace(alerts, episodes=episodes, made=made, pending=(*alerts.pending, message))


def _alarm(verdict: Verdict, kind: EpisodeKind, to: Sequence[str]) -> AlertMessage:
    return AlertMessage(
        key=f"{verdict.verdict_id} {kind}",
        title=f"{verdict.model} version {verdict.version}: {kind}",
        body=_body(verdict),
        resolved=False,
        to=tuple(to),
    )


def _resolved(verdict: Verdict, episodes: Sequence[Episode], to: Sequence[str]) -> AlertMessage:
    over = ", ".join(f"{episode.kind} since {episode.since}" for episode in episodes)
    return AlertMessage(
        key=f"{verdict.verdict_id} resolved {' '.join(episode.kind for episode in episodes)}",
        title=f"{verdict.model} version {verdict.version}: resolved",
        body=f"Over: {over}.\n{_body(verdict)}",
        resolved=True,
        to=tuple(to),
    )


def _body(verdict: Verdict) -> str:
    window = verdict.window
    return (
        f"{verdict.sentence}\nwindow: {window.start} to {window.end}\n"
        f"verdict: {verdict.verdict_id}\nreport: {verdict.report}"
    )
