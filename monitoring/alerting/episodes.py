"""Which verdicts people are alerted to: pure functions of what is known and of a new verdict.

An episode is the windows of one alarming kind, from the first alarming one (a drift must last
for some windows) to the next stable window, which ends the episodes of every kind. A window with
too few rows neither starts nor ends one. Windows without any traffic are an episode once they
have lasted for as long as the policy says, and it ends with the next prediction. An episode
causes one message when it starts and one when it ends.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from contracts.documents import Document
from contracts.times import parse_utc
from contracts.verdict import Verdict, VerdictKind

ALARMING: frozenset[VerdictKind] = frozenset(
    {"drift", "quality", "performance", "unreadable", "failed"}
)
MAX_REMEMBERED = 100
"""Messages whose windows may be judged again without a second message."""


@dataclass(frozen=True)
class AlertPolicy:
    """How long something must last before it causes a message.

    A drift of the same column for `drift_windows` windows in a row; silence for `quiet_s`
    seconds (0: never a message). Data faults and worse performance cause one at once.
    """

    drift_windows: int = 1
    quiet_s: float = 0.0


AT_ONCE = AlertPolicy()


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """Windows of one alarming kind; `since` is the start of the first."""

    kind: VerdictKind
    since: str
    verdict_id: str


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
    under_way = {episode.kind for episode in alerts.episodes}
    if verdict.decision == "stable" and alerts.episodes:
        message = _resolved(verdict, alerts.episodes, to)
        episodes: tuple[Episode, ...] = ()
    elif verdict.decision in ALARMING - under_way and _lasts(verdict, policy.drift_windows):
        message = _alarm(verdict, to)
        episodes = (*alerts.episodes, _started(verdict, verdict.window.start))
    else:
        return alerts
    return _with_message(alerts, episodes, message)


def alarm_start(verdict: Verdict, earlier: Sequence[Verdict]) -> str:
    """The start of the first alarming window, of any kind, since the last stable one.

    `earlier` are the verdicts before this one, by time; with no alarming one among them, the
    alarm starts with this verdict's window.
    """
    start = verdict.window.start
    for before in reversed(earlier):
        if before.decision == "stable":
            break
        if before.decision in ALARMING:
            start = before.window.start
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


def _lasts(verdict: Verdict, drift_windows: int) -> bool:
    """Whether an alarm has lasted: one window drifts by chance more often than two in a row."""
    if verdict.decision != "drift" or drift_windows <= 1:
        return True
    return any(f.drifted and f.windows >= drift_windows for f in verdict.findings)


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
    return _with_message(alerts, (*alerts.episodes, _started(verdict, since)), _alarm(verdict, to))


def _started(verdict: Verdict, since: str) -> Episode:
    return Episode(kind=verdict.decision, since=since, verdict_id=verdict.verdict_id)


def _with_message(alerts: Alerts, episodes: tuple[Episode, ...], message: AlertMessage) -> Alerts:
    """The episodes as they are now, and their message among the pending ones, once."""
    if message.key in alerts.made or not message.to:
        return replace(alerts, episodes=episodes)
    made = (*alerts.made, message.key)[-MAX_REMEMBERED:]
    return replace(alerts, episodes=episodes, made=made, pending=(*alerts.pending, message))


def _alarm(verdict: Verdict, to: Sequence[str]) -> AlertMessage:
    return AlertMessage(
        key=f"{verdict.verdict_id} {verdict.decision}",
        title=f"{verdict.model} version {verdict.version}: {verdict.decision}",
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
