"""A canary: a challenger whose share rises step by step while somebody watches.

Two documents meet here. The service counts what the challenger's answers show
(`CanaryEvidence`), the registry decides on the counts and says where the canary stands
(`Canary`). Counts are all that the tests of `registry.canary` need, so neither side keeps rows.
"""

from typing import Literal

from contracts.decision import Check
from contracts.documents import Document

REFERENCES = 12
"""So many of production's latencies a latency of the challenger's is ranked among."""
SLOWER = 1.5
"""The challenger may be so many times slower than production ..."""
SLACK_MS = 1.0
"""... and this much more, which nobody notices."""
LARGEST_CHANGE = 0.25
"""An answer counts as changed when its class is another, or its number differs by more than
this: of a probability, or of the spread (two standard deviations) of production's values."""

Status = Literal["running", "aborted", "completed", "refused", "stopped"]


class CanaryEvidence(Document, frozen=True, kw_only=True):
    """What a canary's challenger has shown since it began; `var/canaries/<name>/evidence.json`.

    `canary` is the moment it began, as its split says. `seen` are all requests that were
    assigned; `requests` those to the challenger, `failed` of them it failed. `ranks[r]` counts
    its latencies, taken down by `SLACK_MS` and divided by `SLOWER`, below which r of
    `REFERENCES` latencies of production's around them lay. `compared` are its answers to which
    production's is known, `units` those that were the first of their unit at a step, and
    `changed` counts those of `units` that differ. `dropped` could not be looked at in time.
    """

    canary: str
    seen: int = 0
    requests: int = 0
    failed: int = 0
    ranks: tuple[int, ...] = (0,) * (REFERENCES + 1)
    compared: int = 0
    units: int = 0
    changed: int = 0
    dropped: int = 0


class Canary(Document, frozen=True, kw_only=True):
    """Where a canary stands, and what was decided last; the tag `slipway.canary` of the model.

    `began` names it. `step` counts from 0 in `weights`, those below one that are served;
    `seen_before`, `requests_before` and `compared_before` is what the steps before had.
    `is_closed` says that what follows from its end was done.
    """

    model: str
    challenger_version: int
    challenger_digest: str
    production_version: int
    weights: tuple[float, ...]
    each: int
    began: str
    step: int = 0
    step_began: str
    seen_before: int = 0
    requests_before: int = 0
    compared_before: int = 0
    status: Status = "running"
    is_closed: bool = False
    sentence: str = ""
    checks: tuple[Check, ...] = ()
