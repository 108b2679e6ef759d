"""A canary: a challenger whose share of the traffic rises step by step under watch.

Two documents meet here. The service counts what the challenger's answers show
(`CanaryEvidence`); the registry decides on these counts and records the state of the canary
(`Canary`). The tests in `registry.canary` need counts only, so neither side keeps rows.
"""

from typing import Literal

import msgspec

from contracts.decision import Check
from contracts.documents import Document

REFERENCE_LATENCIES = 12
"""Each latency of the challenger is ranked among this many latencies of production."""
MAX_SLOWDOWN = 1.5
"""The challenger may be this many times slower than production ..."""
LATENCY_SLACK_MS = 1.0
"""... plus this much, which nobody notices."""
MAX_CHANGE = 0.25
"""An answer counts as changed if its class differs, or if its number differs by more than this:
a probability by this much, a regression by this share of the spread (two standard deviations)
of production's values."""

Status = Literal["running", "aborted", "completed", "refused", "stopped"]


class CanaryEvidence(Document, frozen=True, kw_only=True):
    """What the challenger of a canary has shown so far; `var/canaries/<name>/evidence.json`.

    `canary` is the time it started, as in its split. `seen` counts all requests that were
    assigned, `requests` those assigned to the challenger, and `failed` the ones of these that
    it failed to answer. Each latency of the challenger, less `LATENCY_SLACK_MS` and divided by
    `MAX_SLOWDOWN`, is ranked among the `REFERENCE_LATENCIES` nearest latencies of production;
    `ranks[r]` counts those with r lower ones. `compared` counts its answers for which
    production's answer is known, `units` those that were the first of their unit in a step, and
    `changed` the ones of `units` that differ. `dropped` counts answers that were not evaluated
    in time.
    """

    canary: str
    seen: int = 0
    requests: int = 0
    failed: int = 0
    ranks: tuple[int, ...] = (0,) * (REFERENCE_LATENCIES + 1)
    compared: int = 0
    units: int = 0
    changed: int = 0
    dropped: int = 0


class Canary(Document, frozen=True, kw_only=True):
    """The state of a canary and its last decision; the tag `slipway.canary` of the model.

    `began` is its start time and identifies it. `step` is an index into `weights`; a weight of
    1 is a promotion and is not served. A step needs `requests_per_step` requests to the
    challenger. `seen_before`, `requests_before` and `compared_before` count what the earlier
    steps had. `is_closed` says that the consequences of its end have been carried out.
    """

    model: str
    challenger_version: int
    challenger_digest: str
    production_version: int
    weights: tuple[float, ...]
    requests_per_step: int = msgspec.field(name="each")
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
