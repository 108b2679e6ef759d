"""What was Production when, who made it so, and why; kept in MLflow, so that it survives.

One tag an event on the registered model: a tag is written whole or not at all, and two
processes that write at once write two tags.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

import msgspec

from contracts.errors import InvalidData
from contracts.names import TAG_HISTORY
from registry.store import Store

LONGEST = 5000
"""MLflow's limit for the value of a tag, in characters."""

DECISION = "decision "
"""A line of evidence that begins so names the document of the decision."""

Kind = Literal["promoted", "forced", "rolled_back", "observed", "removed"]


@dataclass(frozen=True)
class Event:
    """One change of a model's Production version.

    `observed` and `removed` were done by hand, in `mlflow ui` or by another client, and
    noticed afterwards. `evidence` says what the decision stood on; `decision` is its id, empty
    where nothing was decided: `decision/<id>.html` among the artifacts of `to_version`'s run.
    """

    when: str
    kind: Kind
    from_version: int | None
    to_version: int | None
    who: str
    why: str
    evidence: tuple[str, ...] = ()
    decision: str = ""


def record(store: Store, name: str, event: Event) -> None:
    """Add an event to a model's history.

    Raises:
        InvalidData: the reason is longer than MLflow can keep.

    """
    text = msgspec.json.encode(event).decode()
    if len(text) > LONGEST:
        raise InvalidData(
            f"because: expected a record of up to {LONGEST} characters, got {len(text)}",
            remedy="say it shorter, and link to the rest",
        )
    # Fixed width: the keys' order as text is the order of events, even if a clock was set
    # back, or is behind the one of the machine that wrote the last.
    nanoseconds = int(datetime.fromisoformat(event.when).timestamp() * 1e6) * 1000
    place = max(nanoseconds, _last_place(store, name) + 1)
    store.models.set_tag(name, f"{TAG_HISTORY}{place:020d}-{secrets.token_hex(4)}", text)


def history(store: Store, name: str) -> list[Event]:
    """A model's events, oldest first."""
    tags = store.models.get(name).tags
    return [_with_decision(msgspec.json.decode(tags[key], type=Event)) for key in _keys(tags)]


def _with_decision(event: Event) -> Event:
    """The event with the id of its decision, which a promotion keeps among the evidence."""
    named = [text.removeprefix(DECISION) for text in event.evidence if text.startswith(DECISION)]
    return replace(event, decision=named[0]) if named and not event.decision else event


def _keys(tags: Mapping[str, str]) -> list[str]:
    return sorted(key for key in tags if key.startswith(TAG_HISTORY))


def _last_place(store: Store, name: str) -> int:
    keys = _keys(store.models.get(name).tags)
    return int(keys[-1].removeprefix(TAG_HISTORY).partition("-")[0]) if keys else 0


def now() -> str:
    """This moment, as events write it."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
