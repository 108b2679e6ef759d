"""The promotion gate: judges a version from documents and measurements, without reading any."""

from collections.abc import Iterator
from dataclasses import dataclass

from contracts.decision import Check, Evaluation, Subject
from contracts.errors import PlatformError
from contracts.manifest import GateResult, Manifest, Metric
from registry.compatibility import compatibility

EVIDENCE_ORDER: tuple[Subject, ...] = (
    "metric",
    "replay",
    "slice",
    "calibration",
    "latency",
    "size",
    "parity",
    "gate",
    "contract",
)
"""Subjects of the evidence for a version: what was measured on the same rows comes first."""


@dataclass(frozen=True)
class Comparison:
    """What was measured of challenger and production on the same rows.

    `evaluation` is None where they could not be compared; a check says why. It is `undecided`
    if the rows are too few to show what they must: more rows may decide it.
    """

    checks: tuple[Check, ...]
    evaluation: Evaluation | None = None
    undecided: bool = False


@dataclass(frozen=True)
class Judgement:
    """Every check of a version that somebody wants to promote."""

    checks: tuple[Check, ...]
    evaluation: Evaluation | None = None
    undecided: bool = False

    @property
    def allowed(self) -> bool:
        """Whether no check refuses the version."""
        return not self.reasons

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the version is refused, one sentence for each check that refuses it."""
        return tuple(check.sentence for check in self.checks if check.refuses)

    @property
    def evidence(self) -> tuple[str, ...]:
        """The sentences of the other checks, in `EVIDENCE_ORDER`."""
        others = [check for check in self.checks if not check.refuses]
        return tuple(
            check.sentence
            for subject in EVIDENCE_ORDER
            for check in others
            if check.subject == subject
        )


def judge_version(
    candidate: Manifest, production: Manifest | None, comparison: Comparison | None = None
) -> Judgement:
    """Check a candidate against its recipe's gates, its certificate and production.

    Without a comparison on the same rows, the two versions are compared by the intervals in
    their manifests.
    """
    checks = [_certificate(candidate), *map(_gate, candidate.gates), *_metrics(candidate)]
    if production is not None:
        checks += compatibility(candidate, production)
    if comparison is not None:
        checks += comparison.checks
    elif production is not None:
        checks += _intervals(candidate, production)
    if comparison is None:
        return Judgement(tuple(checks))
    return Judgement(tuple(checks), comparison.evaluation, comparison.undecided)


def not_compared(subject: Subject, path: str, expected: str, why: PlatformError) -> Comparison:
    """A comparison that failed: one check, which refuses the version unless it is forced."""
    check = Check(
        subject=subject,
        path=path,
        expected=expected,
        got=why.what,
        passed=False,
        sentence=f"{path}: expected {expected}, got {why.what}",
    )
    return Comparison((check,))


# Checks of one version, from its own manifest.


def _certificate(candidate: Manifest) -> Check:
    certificate = candidate.certificate
    expected = f"at most {certificate.tolerance:.0e} and no other class"
    got = f"{certificate.max_difference:.1e}, {certificate.class_differences} other classes"
    rows = sum(certificate.rows.values())
    return Check(
        subject="parity",
        path="certificate",
        expected=expected,
        got=got,
        passed=certificate.passed,
        sentence=f"parity over {rows} rows: largest difference {got}"
        if certificate.passed
        else f"certificate: expected the ONNX model to answer like the fitted pipeline, {expected}"
        f", got {got}",
    )


def _gate(gate: GateResult) -> Check:
    bounds = ("at least", gate.minimum), ("at most", gate.maximum)
    expected = " and ".join(f"{word} {bound:g}" for word, bound in bounds if bound is not None)
    return Check(
        subject="gate",
        path=gate.metric,
        expected=expected,
        got=f"{gate.value:.4g}",
        passed=gate.passed,
        sentence=f"{gate.metric}: expected {expected}, got {gate.value:.4g}",
    )


def _metrics(candidate: Manifest) -> Iterator[Check]:
    for name, metric in candidate.metrics.items():
        yield Check(
            subject="gate",
            path=name,
            expected="",
            got=_shown(metric),
            passed=True,
            judged=False,
            sentence=f"{name} {_shown(metric)} on its held-out rows",
        )


def _shown(metric: Metric) -> str:
    return f"{metric.value:.4g} ({metric.low:.4g} .. {metric.high:.4g})"


# Checks of two versions that were not compared on the same rows.


def _common_metric(candidate: Manifest, production: Manifest) -> str | None:
    """The metric to compare: the candidate's first gated metric (or any) that both have."""
    names = [gate.metric for gate in candidate.gates] or [*candidate.metrics]
    return next((n for n in names if n in candidate.metrics and n in production.metrics), None)


def _intervals(candidate: Manifest, production: Manifest) -> Iterator[Check]:
    """Refuse a candidate that is clearly worse: the 95 % intervals do not even touch.

    The two held-out sets may differ, so documents alone allow no sharper test.
    """
    name = _common_metric(candidate, production)
    if name is None:
        return
    ours, theirs = candidate.metrics[name], production.metrics[name]
    worse = ours.high < theirs.low if ours.greater_is_better else ours.low > theirs.high
    expected = f"not clearly worse than {_shown(theirs)}"
    yield Check(
        subject="metric",
        path=name,
        expected=expected,
        got=_shown(ours),
        passed=not worse,
        sentence=f"{name}: expected {expected}, got {_shown(ours)}",
    )
