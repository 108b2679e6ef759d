"""The history of a model's production version: what changed when, by whom and why.

It is kept in MLflow, one tag of the registered model per event: MLflow writes a tag completely
or not at all, and two processes that write at the same time write two tags.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal, Self

import msgspec

from contracts.errors import InvalidData
from contracts.names import TAG_HISTORY
from contracts.times import parse_utc, utc_text
from registry.store import Store

MAX_EVENT_CHARS = 5000
"""MLflow's limit for the value of a tag."""

DECISION = "decision "
"""Prefix of the line of evidence that names the document of the decision."""

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
    """A model's events, oldest first."""
    tags = store.models.get(name).tags
    return [_with_decision(msgspec.json.decode(tags[key], type=Event)) for key in _keys(tags)]


def _with_decision(event: Event) -> Event:
    """The event with the id of its decision, which a promotion stores in the evidence."""
    ids = [text.removeprefix(DECISION) for text in event.evidence if text.startswith(DECISION)]
    return replace(event, decision=ids[0]) if ids and not event.decision else event


def _keys(tags: Mapping[str, str]) -> list[str]:
    return sorted(key for key in tags if key.startswith(TAG_HISTORY))


def _last_position(store: Store, name: str) -> int:
    keys = _keys(store.models.get(name).tags)
    return int(keys[-1].removeprefix(TAG_HISTORY).partition("-")[0]) if keys else 0
