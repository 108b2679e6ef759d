"""The promotion gate: a decision on documents, without a world around it."""

from collections.abc import Iterator
from dataclasses import dataclass

from contracts.manifest import Manifest, Metric
from contracts.schema import Feature


@dataclass(frozen=True)
class Decision:
    """Whether a version may be promoted: what speaks against it, and what was looked at."""

    allowed: bool
    reasons: tuple[str, ...]
    evidence: tuple[str, ...]


def decide(candidate: Manifest, production: Manifest | None) -> Decision:
    """Hold a candidate against its recipe's gates, its certificate and Production."""
    reasons = [*_own_faults(candidate)]
    evidence = [*_own_evidence(candidate)]
    if production is not None:
        reasons += [*_broken_promises(candidate, production), *_losses(candidate, production)]
        evidence += [*_comparison(candidate, production)]
    return Decision(not reasons, tuple(reasons), tuple(evidence))


def _own_faults(candidate: Manifest) -> Iterator[str]:
    if not candidate.certificate.passed:
        yield "the ONNX model does not answer like the fitted pipeline"
    for gate in candidate.gates:
        if not gate.passed:
            bound = f"at least {gate.minimum:g}" if gate.minimum is not None else ""
            bound += f"at most {gate.maximum:g}" if gate.maximum is not None else ""
            yield f"{gate.metric}: expected {bound}, got {gate.value:.4g}"


def _own_evidence(candidate: Manifest) -> Iterator[str]:
    certificate = candidate.certificate
    yield (
        f"parity over {sum(certificate.rows.values())} rows: "
        f"largest difference {certificate.largest_difference:.1e}"
    )
    for name, metric in candidate.metrics.items():
        yield f"{name} {_shown(metric)}"


def _shown(metric: Metric) -> str:
    return f"{metric.value:.4g} ({metric.low:.4g} .. {metric.high:.4g})"


def _compared(candidate: Manifest, production: Manifest) -> str | None:
    """The metric on which two versions are compared: the first that both gate or have."""
    names = [gate.metric for gate in candidate.gates] or [*candidate.metrics]
    return next((n for n in names if n in candidate.metrics and n in production.metrics), None)


def _losses(candidate: Manifest, production: Manifest) -> Iterator[str]:
    """Clearly worse: the 95 % intervals do not even touch.

    The two held-out sets may differ, so nothing sharper can be said from documents alone.
    """
    name = _compared(candidate, production)
    if name is None:
        return
    ours, theirs = candidate.metrics[name], production.metrics[name]
    worse = ours.high < theirs.low if ours.greater_is_better else ours.low > theirs.high
    if worse:
        yield f"{name}: expected not clearly worse than {_shown(theirs)}, got {_shown(ours)}"


def _comparison(candidate: Manifest, production: Manifest) -> Iterator[str]:
    name = _compared(candidate, production)
    if name is not None:
        yield f"{name} of production {_shown(production.metrics[name])}"


def _broken_promises(candidate: Manifest, production: Manifest) -> Iterator[str]:
    """What a client of Production may send or read today, and could not any more."""
    if (candidate.task, candidate.classes, candidate.outputs) != (
        production.task,
        production.classes,
        production.outputs,
    ):
        yield (
            f"answers: expected {production.task} of {_answers(production)}, "
            f"got {candidate.task} of {_answers(candidate)}"
        )
    old = {feature.name: feature for feature in production.schema.features}
    new = {feature.name: feature for feature in candidate.schema.features}
    for name in old.keys() - new.keys():
        yield f"feature {name}: clients send it, and it would be refused"
    for name in new.keys() - old.keys():
        if not new[name].nullable:
            yield f"feature {name}: clients do not send it, and it would be demanded"
    for name in old.keys() & new.keys():
        yield from _tightened(old[name], new[name])


def _answers(manifest: Manifest) -> str:
    return ", ".join(manifest.classes or manifest.outputs)


def _tightened(old: Feature, new: Feature) -> Iterator[str]:
    if old.type != new.type and (old.type, new.type) != ("int", "float"):
        yield f"feature {old.name}: expected type {old.type}, got {new.type}"
        return
    if old.nullable and not new.nullable:
        yield f"feature {old.name}: it may be missing today, and would be demanded"
    if new.policy != "reject":
        return
    if old.policy != "reject":
        yield f"feature {old.name}: policy {old.policy} would become reject"
    elif new.low > old.low or new.high < old.high:
        yield (
            f"feature {old.name}: range {old.low:g}..{old.high:g} "
            f"would shrink to {new.low:g}..{new.high:g}"
        )
    gone = sorted(set(old.categories) - set(new.categories))
    if gone:
        yield f"feature {old.name}: categories {', '.join(gone)} would be refused"
