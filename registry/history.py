"""The history of a model's production version: what changed when, by whom and why.

It is kept in MLflow, one tag of the registered model per event: MLflow writes a tag completely
or not at all, and two processes that write at the same time write two tags.
"""

import logging
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Literal, Self

import msgspec

from contracts.errors import InvalidData
from contracts.names import TAG_HISTORY
from contracts.printable import printable
from contracts.times import parse_utc, utc_text
from registry.store import Store

MAX_EVENT_CHARS = 5000
"""MLflow's limit for the value of a tag."""

DECISION = "decision "
"""Prefix of the line of evidence that names the document of the decision."""

_KEY = re.compile(re.escape(TAG_HISTORY) + r"(?P<position>0\d{19})-[0-9a-f]+")
logger = logging.getLogger("slipway.registry")

Kind = Literal["promoted", "forced", "rolled_back", "observed", "removed"]


@dataclass(frozen=True)
class Event:
    """One change of a model's production version, at the RFC 3339 time `when`.

    `observed` and `removed` events were made by hand, in `mlflow ui` or with another client, and
    noticed afterwards. `evidence` lists what the decision was based on. `decision` is the
    decision's id, empty where there was none: the document is `decision/<id>.html` among the
    artifacts of `to_version`'s run.
    """

    when: str
    kind: Kind
    from_version: int | None
    to_version: int | None
    who: str
    why: str
    evidence: tuple[str, ...] = ()
    decision: str = ""

    @classmethod
    def now(
        cls,
        kind: Kind,
        before: int | None,
        after: int | None,
        *,
        who: str,
        why: str,
        evidence: tuple[str, ...] = (),
    ) -> Self:
        """An event of this moment: production moves from version `before` to `after`."""
        return cls(utc_text(datetime.now(UTC)), kind, before, after, who, why, evidence)

    def encode(self) -> str:
        """This event as JSON.

        Raises:
            InvalidData: it is longer than MLflow can store, because of a long reason.

        """
        text = msgspec.json.encode(self).decode()
        if len(text) > MAX_EVENT_CHARS:
            raise InvalidData(
                f"because: expected a record of at most {MAX_EVENT_CHARS} characters, "
                f"got {len(text)}",
                remedy="give a shorter reason, and link to the rest",
            )
        return text


def record(store: Store, name: str, event: Event) -> None:
    """Add an event to a model's history.

    Raises:
        InvalidData: the event is longer than MLflow can store.

    """
    text = event.encode()
    # Of fixed width, so that the keys sort in the order of events. The number never falls, even
    # if a clock was set back or is behind the clock of the machine that wrote the last event.
    nanoseconds = int(parse_utc(event.when).timestamp() * 1e6) * 1000
    position = max(nanoseconds, _last_position(store, name) + 1)
    store.models.set_tag(name, f"{TAG_HISTORY}{position:020d}-{secrets.token_hex(4)}", text)


def history(store: Store, name: str) -> list[Event]:
    """A model's events, oldest first; tags that are no events are logged and skipped."""
    tags = store.models.get(name).tags
    events = (_read_event(name, key, tags[key]) for key in _keys(tags))
    return [_with_decision(event) for event in events if event is not None]


def _read_event(name: str, key: str, text: str) -> Event | None:
    try:
        return msgspec.json.decode(text, type=Event)
    except (msgspec.DecodeError, UnicodeError) as err:
        # Anybody may write a tag by hand; a rollback must work in spite of it.
        _warn_once(
            f"{printable(name)}: ignoring the tag {printable(key)}, which is no event: {err}"
        )
        return None


@cache
def _warn_once(text: str) -> None:
    """Log a warning, unless this process has logged it already: the follower reads every 2 s."""
    logger.warning("%s", text)


def _with_decision(event: Event) -> Event:
    """The event with the id of its decision, which a promotion stores in the evidence."""
    ids = [text.removeprefix(DECISION) for text in event.evidence if text.startswith(DECISION)]
    return replace(event, decision=ids[0]) if ids and not event.decision else event


def _keys(tags: Mapping[str, str]) -> list[str]:
    return sorted(key for key in tags if key.startswith(TAG_HISTORY))


def _last_position(store: Store, name: str) -> int:
    keys = (_KEY.fullmatch(key) for key in store.models.get(name).tags)
    return max((int(key["position"]) for key in keys if key), default=0)
