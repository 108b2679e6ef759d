"""The open alerts of a model, and its last retrainings."""

from dataclasses import dataclass

from contracts.errors import InvalidDocument
from contracts.names import Layout
from contracts.retraining import Retraining, RetrainingWait
from contracts.times import parse_utc
from monitoring.alerting.episodes import Alerts
from monitoring.operations.freshness import Freshness, missing
from monitoring.retraining.records import read_retrainings, read_wait

MAX_RETRAININGS = 3


@dataclass(frozen=True)
class RetrainingState:
    """A model's newest retrainings, the newest first, and what the next one waits for.

    `missing` says why they cannot be shown.
    """

    retrainings: tuple[Retraining, ...]
    wait: RetrainingWait | None
    freshness: Freshness


def open_alerts(layout: Layout, name: str) -> tuple[Alerts, str]:
    """A model's alerts, and why they cannot be read, if so; the file is left as it is."""
    path = layout.alerts(name)
    try:
        return Alerts.read(path.read_bytes(), str(path)), ""
    except FileNotFoundError:
        return Alerts(), ""
    except (InvalidDocument, OSError) as err:
        return Alerts(), str(err)


def retraining_state(layout: Layout, name: str) -> RetrainingState:
    """The last retrainings of a model."""
    try:
        found = read_retrainings(layout, name)
        wait = read_wait(layout, name)
    except (InvalidDocument, OSError) as err:
        return RetrainingState((), None, missing(f"a record cannot be read: {err}"))
    newest = tuple(sorted(found, key=lambda r: r.request.made_at, reverse=True)[:MAX_RETRAININGS])
    times = [parse_utc(r.changed_at) for r in newest]
    if wait is not None:
        times.append(parse_utc(wait.made_at))
    if not times:
        return RetrainingState((), None, Freshness())
    return RetrainingState(newest, wait, Freshness(max(times)))
