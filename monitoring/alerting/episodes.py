"""When people are told: one message as an episode begins, one when it is over.

An episode begins with the first alarming verdict of a kind (a drift must last for some windows)
and ends with a stable window; a
window with too few rows neither begins nor ends one. Windows without any traffic are told once
they have lasted for as long as the settings say, and end with the next prediction. What is known
lies in `var/alerts/<model>.json`. It is written before the verdict is, so a job that is killed
in between judges the window again and finds its message noted already; and a message leaves it
only once it has been delivered.
"""

import contextlib
import fcntl
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec.structs import replace

from contracts.documents import Document
from contracts.errors import InvalidDocument, Unwritable
from contracts.files import lock_file, write_whole
from contracts.names import Layout
from contracts.times import parse_utc
from contracts.verdict import Verdict, VerdictKind

logger = logging.getLogger("slipway.monitor")

ALARMING: frozenset[VerdictKind] = frozenset({"drift", "quality", "performance", "unreadable"})
MOST_REMEMBERED = 100
"""Messages whose windows may be judged again without being told again."""


@dataclass(frozen=True)
class Patience:
    """How long something must last before people are told.

    A drift of the same column for `drift_windows` windows in a row; silence for `quiet_s`
    seconds (0: never told). Faults of the data and worse performance are told at once.
    """

    drift_windows: int = 1
    quiet_s: float = 0.0


AT_ONCE = Patience()
Deliver = Callable[[str, "Message"], str]
"""Brings a message to an address; why it could not, or nothing."""


class Episode(msgspec.Struct, frozen=True, kw_only=True):
    """Windows of one alarming kind, since the start of the first."""

    kind: VerdictKind
    since: str
    verdict_id: str


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What people are told; `to` are the digests of the addresses it has not reached yet."""

    key: str
    title: str
    body: str
    resolved: bool
    to: tuple[str, ...]
    failure: str = ""


class Alerts(Document, frozen=True, kw_only=True):
    """What is known of a model's alarms: episodes under way, messages told and not yet sent.

    `quiet_since` is the start of the first of the windows without traffic, up to the newest.
    """

    episodes: tuple[Episode, ...] = ()
    told: tuple[str, ...] = ()
    unsent: tuple[Message, ...] = ()
    quiet_since: str = ""


def after(
    alerts: Alerts, verdict: Verdict, to: Sequence[str], patience: Patience = AT_ONCE
) -> Alerts:
    """What is known once a verdict has come; `to` are the digests of whom to tell."""
    alerts = _with_silence(alerts, verdict, to, patience.quiet_s)
    under_way = {episode.kind for episode in alerts.episodes}
    if verdict.decision == "stable" and alerts.episodes:
        message = _resolved(verdict, alerts.episodes, to)
        episodes: tuple[Episode, ...] = ()
    elif verdict.decision in ALARMING - under_way and _lasts(verdict, patience.drift_windows):
        message = _alarm(verdict, to)
        episodes = (*alerts.episodes, _begun(verdict, verdict.window.start))
    else:
        return alerts
    return _told(alerts, episodes, message)


def _lasts(verdict: Verdict, drift_windows: int) -> bool:
    """Whether an alarm has lasted: one window drifts by chance sooner than two in a row."""
    if verdict.decision != "drift" or drift_windows <= 1:
        return True
    return any(f.drifted and f.windows >= drift_windows for f in verdict.findings)


def _with_silence(alerts: Alerts, verdict: Verdict, to: Sequence[str], quiet_s: float) -> Alerts:
    """What is known of windows without traffic: told when they last, over when one has rows."""
    silent = tuple(episode for episode in alerts.episodes if episode.kind == "no_traffic")
    if verdict.decision != "no_traffic":
        alerts = replace(alerts, quiet_since="")
        if not silent:
            return alerts
        others = tuple(episode for episode in alerts.episodes if episode not in silent)
        return _told(alerts, others, _resolved(verdict, silent, to))
    since = alerts.quiet_since or verdict.window.start
    alerts = replace(alerts, quiet_since=since)
    lasted_s = (parse_utc(verdict.window.end) - parse_utc(since)).total_seconds()
    if silent or not quiet_s or lasted_s < quiet_s:
        return alerts
    return _told(alerts, (*alerts.episodes, _begun(verdict, since)), _alarm(verdict, to))


def _begun(verdict: Verdict, since: str) -> Episode:
    return Episode(kind=verdict.decision, since=since, verdict_id=verdict.verdict_id)


def _told(alerts: Alerts, episodes: tuple[Episode, ...], message: Message) -> Alerts:
    """The episodes as they are now, and their message among those to be sent, once."""
    if message.key in alerts.told or not message.to:
        return replace(alerts, episodes=episodes)
    told = (*alerts.told, message.key)[-MOST_REMEMBERED:]
    return replace(alerts, episodes=episodes, told=told, unsent=(*alerts.unsent, message))


def note(layout: Layout, verdict: Verdict, to: Sequence[str], patience: Patience = AT_ONCE) -> None:
    """Keep what a verdict begins or ends, and the message that is due; nothing is sent.

    Raises:
        Unwritable: the place cannot be written.

    """
    path = _path(layout, verdict.model)
    with _alone(path):
        before = _read(path)
        now = after(before, verdict, to, patience)
        if now != before:
            write_whole(path, now.write_pretty())


def send(
    layout: Layout, name: str, addresses: Mapping[str, str], deliver: Deliver
) -> tuple[Message, ...]:
    """Deliver what is due to `addresses` (by digest), oldest first; gives what is left.

    An address that does not take a message is not asked again this time; one that nobody
    names any more is forgotten.

    Raises:
        Unwritable: the place cannot be written.

    """
    path = _path(layout, name)
    if not path.is_file():
        return ()
    with _alone(path):
        alerts = _read(path)
        failures: dict[str, str] = {}
        for message in alerts.unsent:
            for digest in message.to:
                if digest in addresses and digest not in failures:
                    why = deliver(addresses[digest], message)
                    if why:
                        failures[digest] = why
                        logger.error("%s: %r was not delivered: %s", name, message.title, why)
                if digest in failures:
                    alerts = _failed(alerts, message.key, failures[digest])
                else:
                    alerts = _reached(alerts, message.key, digest)
                # At once: whoever is killed after this line tells nobody twice.
                write_whole(path, alerts.write_pretty())
        return alerts.unsent


def unsent(layout: Layout, name: str) -> tuple[Message, ...]:
    """The messages that wait to be sent."""
    path = _path(layout, name)
    return _read(path).unsent if path.is_file() else ()


def _alarm(verdict: Verdict, to: Sequence[str]) -> Message:
    return Message(
        key=f"{verdict.verdict_id} {verdict.decision}",
        title=f"{verdict.model} version {verdict.version}: {verdict.decision}",
        body=_body(verdict),
        resolved=False,
        to=tuple(to),
    )


def _resolved(verdict: Verdict, episodes: Sequence[Episode], to: Sequence[str]) -> Message:
    over = ", ".join(f"{episode.kind} since {episode.since}" for episode in episodes)
    return Message(
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


def _reached(alerts: Alerts, key: str, digest: str) -> Alerts:
    left = [
        replace(m, to=tuple(d for d in m.to if d != digest)) if m.key == key else m
        for m in alerts.unsent
    ]
    return replace(alerts, unsent=tuple(m for m in left if m.to))


def _failed(alerts: Alerts, key: str, why: str) -> Alerts:
    told = [replace(m, failure=why) if m.key == key else m for m in alerts.unsent]
    return replace(alerts, unsent=tuple(told))


def _path(layout: Layout, name: str) -> Path:
    return layout.var / "alerts" / f"{name}.json"


def _read(path: Path) -> Alerts:
    try:
        return Alerts.read(path.read_bytes(), str(path))
    except FileNotFoundError:
        return Alerts()
    except InvalidDocument as err:
        # It is replaced whole, so somebody edited it. To judge on without the past is better
        # than not to judge; at worst an alarm is told again.
        aside = path.with_suffix(".unreadable")
        path.replace(aside)
        logger.error("%s; it lies in %s now", err, aside)  # noqa: TRY400 - the place is in the text
        return Alerts()


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time: a person may judge a window beside the job."""
    with contextlib.ExitStack() as stack:
        # A place where no lock can be made cannot be written either, which is told there.
        with contextlib.suppress(OSError, Unwritable):
            descriptor = stack.enter_context(lock_file(path.with_name(f".{path.name}.lock")))
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
