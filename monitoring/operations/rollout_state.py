"""Who else sees a model's requests: challenger, canary with its evidence, shadow."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from prometheus_client.parser import text_string_to_metric_families

from contracts.canary import Canary, CanaryEvidence
from contracts.decision import Check
from contracts.errors import InvalidDocument
from contracts.names import CHALLENGER, SHADOW, TAG_CHALLENGER_SPLIT, Layout
from contracts.times import parse_utc
from monitoring.operations.freshness import HOUR_S, MINUTE_S, Freshness, missing
from registry.canary import decide_step
from registry.mlflow_store.models import StoredModel
from registry.pointers import read_split
from registry.rollout import canary_of

EVIDENCE_STALE_S = 15 * MINUTE_S
SHADOW_STALE_S = HOUR_S


@dataclass(frozen=True)
class CanaryState:
    """A canary with its evidence: each limit with what was found, and how far the step is.

    `wanted` is the number of requests that the present step needs and `requests` what it has.
    """

    canary: Canary
    checks: tuple[Check, ...]
    sentence: str
    requests: int
    wanted: int
    freshness: Freshness

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.canary.status == "running"


@dataclass(frozen=True)
class ShadowState:
    """The shadow and how often it agreed with what was answered, by outcome."""

    version: int
    outcomes: Mapping[str, int] = field(default_factory=dict)
    freshness: Freshness = field(default_factory=Freshness)

    @property
    def compared(self) -> int:
        """Answers that were compared."""
        return self.outcomes.get("agreed", 0) + self.outcomes.get("differed", 0)


@dataclass(frozen=True)
class RolloutState:
    """The roles besides production; None where there is none.

    `requested` is the split that people asked for, `weight` the share in force on this machine.
    """

    challenger: int | None
    requested: str
    weight: float
    canary: CanaryState | None
    shadow: ShadowState | None


def rollout_state(
    layout: Layout, model: StoredModel, *, hold_s: float, now: datetime
) -> RolloutState:
    """The roles of a model; `hold_s` is the minimum duration of a canary's step."""
    challenger = model.aliases.get(CHALLENGER)
    split = read_split(layout, model.name)
    if split is not None and split.challenger_version != challenger:
        split = None
    shadow = model.aliases.get(SHADOW)
    return RolloutState(
        challenger=challenger,
        requested=model.tags.get(TAG_CHALLENGER_SPLIT, ""),
        weight=0.0 if split is None else split.weight,
        canary=_canary(layout, model, hold_s, now),
        shadow=None if shadow is None else _shadow(layout, model.name, shadow),
    )


def _canary(layout: Layout, model: StoredModel, hold_s: float, now: datetime) -> CanaryState | None:
    canary = canary_of(model)
    if canary is None:
        return None
    evidence, freshness = _evidence(layout, canary)
    if canary.status != "running":
        return CanaryState(canary, canary.checks, canary.sentence, 0, 0, freshness)
    held_s = (now - parse_utc(canary.step_began)).total_seconds()
    decision = decide_step(canary, evidence, held_s=held_s, hold_s=hold_s)
    return CanaryState(
        canary,
        decision.checks,
        decision.sentence,
        max(evidence.requests - canary.requests_before, 0),
        canary.requests_per_step,
        freshness,
    )


def _evidence(layout: Layout, canary: Canary) -> tuple[CanaryEvidence, Freshness]:
    """The counts of a canary; zeros if the service has not begun to count."""
    none = CanaryEvidence(canary=canary.began)
    if canary.status != "running":
        return none, Freshness()
    path = layout.evidence(canary.model)
    away = missing(
        f"no evidence yet in {path.name}: the service counts it while it serves", "slipway serve"
    )
    try:
        evidence = CanaryEvidence.read(path.read_bytes(), str(path))
        changed_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except FileNotFoundError:
        return none, away
    except (InvalidDocument, OSError) as err:
        return none, missing(f"the evidence cannot be read: {err}", "slipway doctor")
    if evidence.canary != canary.began:
        return none, away
    return evidence, Freshness(changed_at, EVIDENCE_STALE_S, command="slipway serve")


def _shadow(layout: Layout, name: str, version: int) -> ShadowState:
    """The shadow's agreement, as its process has counted it since it started."""
    path = layout.metrics / f"shadow-{name}.prom"
    try:
        page = path.read_text(encoding="utf-8")
        changed_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        outcomes: Counter[str] = Counter()
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                labels = sample.labels
                if labels.get("role") == SHADOW and labels.get("version") == str(version):
                    outcomes[labels["outcome"]] += int(sample.value)
    except (OSError, ValueError, KeyError):
        why = missing("no answer has been compared yet", "slipway serve")
        return ShadowState(version, freshness=why)
    return ShadowState(
        version, outcomes, Freshness(changed_at, SHADOW_STALE_S, command="slipway serve")
    )
