"""The promotion gate: a judgement on documents and measurements, without a world around it."""

from collections.abc import Iterator
from dataclasses import dataclass

from contracts.decision import Check, Evaluation, Subject
from contracts.errors import PlatformError
from contracts.manifest import GateResult, Manifest, Metric
from contracts.schema import FLOAT32_MAX, Feature


@dataclass(frozen=True)
class Comparison:
    """What was measured of challenger and production on the same rows.

    `exam` is None where they could not be compared; a check says why.
    """

    checks: tuple[Check, ...]
    exam: Evaluation | None = None


@dataclass(frozen=True)
class Judgement:
    """Every check of a version that shall be promoted."""

    checks: tuple[Check, ...]
    exam: Evaluation | None = None

    @property
    def allowed(self) -> bool:
        """Whether nothing speaks against the version."""
        return not self.reasons

    @property
    def reasons(self) -> tuple[str, ...]:
        """What speaks against the version, a sentence each."""
        return tuple(check.sentence for check in self.checks if check.refuses)

    @property
    def evidence(self) -> tuple[str, ...]:
        """What else was looked at, what was measured on the same rows first."""
        kinds = (
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
        told = [check for check in self.checks if not check.refuses]
        return tuple(check.sentence for kind in kinds for check in told if check.subject == kind)


def decide(
    candidate: Manifest, production: Manifest | None, comparison: Comparison | None = None
) -> Judgement:
    """Hold a candidate against its recipe's gates, its certificate and Production.

    Without a comparison on the same rows, two versions are held against each other by the
    intervals in their manifests.
    """
    checks = [_certificate(candidate), *map(_gate, candidate.gates), *_metrics(candidate)]
    if production is not None:
        checks += contract(candidate, production)
    if comparison is not None:
        checks += comparison.checks
    elif production is not None:
        checks += _intervals(candidate, production)
    return Judgement(tuple(checks), comparison.exam if comparison else None)


def not_compared(subject: Subject, path: str, expected: str, why: PlatformError) -> Comparison:
    """The comparison that could not be made: one check, which only `--force` goes past."""
    return Comparison(
        (
            Check(
                subject=subject,
                path=path,
                expected=expected,
                got=why.what,
                passed=False,
                sentence=f"{path}: expected {expected}, got {why.what}",
            ),
        )
    )


# what a version says of itself


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
    expected = " and ".join(f"{words} {bound:g}" for words, bound in bounds if bound is not None)
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


# what two versions say of each other, where they were not compared on the same rows


def _compared(candidate: Manifest, production: Manifest) -> str | None:
    """The metric on which two versions are compared: the first that both gate or have."""
    names = [gate.metric for gate in candidate.gates] or [*candidate.metrics]
    return next((n for n in names if n in candidate.metrics and n in production.metrics), None)


def _intervals(candidate: Manifest, production: Manifest) -> Iterator[Check]:
    """Clearly worse: the 95 % intervals do not even touch.

    The two held-out sets may differ, so nothing sharper can be said from documents alone.
    """
    name = _compared(candidate, production)
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


# what clients were promised


def contract(candidate: Manifest, production: Manifest) -> list[Check]:
    """What a client of Production may send or read today, and could not any more.

    One check a broken promise, and one for what changes without breaking a request.
    """
    old = {feature.name: feature for feature in production.schema.features}
    new = {feature.name: feature for feature in candidate.schema.features}
    found = [*_answers(candidate, production)]
    for name in [name for name in old if name not in new]:
        sentence = f"feature {name}: clients send it, and it would be refused"
        found.append(_change(f"schema.{name}", old[name].expected, "no such feature", sentence))
    for name in [name for name in new if name not in old]:
        needed = not new[name].nullable
        sentence = f"feature {name}: clients do not send it, and it " + (
            "would be demanded" if needed else "may be missing"
        )
        path = f"schema.{name}"
        found.append(_change(path, "nothing", new[name].expected, sentence, breaks=needed))
    for name in [name for name in old if name in new]:
        found += _feature(old[name], new[name])
    if not any(check.refuses for check in found):
        words = "every request that is accepted today"
        sentence = "contract: " + words + " stays accepted"
        found.append(_change("schema", words, "accepted", sentence, breaks=False, judged=True))
    return found


def _change(
    path: str, expected: str, got: str, sentence: str, *, breaks: bool = True, judged: bool = False
) -> Check:
    """A difference between two contracts; one that breaks nothing is told."""
    return Check(
        subject="contract",
        path=path,
        expected=expected,
        got=got,
        passed=not breaks,
        judged=breaks or judged,
        sentence=sentence,
    )


def _answers(candidate: Manifest, production: Manifest) -> Iterator[Check]:
    old = (production.task, production.classes, production.outputs)
    new = (candidate.task, candidate.classes, candidate.outputs)
    if old != new:
        expected = f"{production.task} of {_named(production)}"
        got = f"{candidate.task} of {_named(candidate)}"
        yield _change("answers", expected, got, f"answers: expected {expected}, got {got}")
    if production.output_unit != candidate.output_unit:
        expected, got = (m.output_unit or "no unit" for m in (production, candidate))
        sentence = f"answers: their unit {expected} would become {got}"
        # To name a unit that was always meant breaks nobody; another one is another number.
        yield _change("answers.unit", expected, got, sentence, breaks=bool(production.output_unit))
    if production.threshold != candidate.threshold:
        expected, got = (str(m.threshold) for m in (production, candidate))
        sentence = f"answers: the threshold {expected} would become {got}"
        yield _change("answers.threshold", expected, got, sentence, breaks=False)


def _named(manifest: Manifest) -> str:
    return ", ".join(manifest.classes or manifest.outputs)


def _feature(old: Feature, new: Feature) -> Iterator[Check]:
    """What changes for a feature that both versions take."""
    path = f"schema.{old.name}"
    if old.type != new.type:
        sentence = f"feature {old.name}: expected type {old.type}, got {new.type}"
        widens = (old.type, new.type) == ("int", "float")
        yield _change(f"{path}.type", old.type, new.type, sentence, breaks=not widens)
        if not widens:
            return
    if old.unit != new.unit:
        expected, got = (feature.unit or "no unit" for feature in (old, new))
        sentence = f"feature {old.name}: unit {expected} would become {got}"
        yield _change(f"{path}.unit", expected, got, sentence, breaks=bool(old.unit))
    if old.nullable and not new.nullable:
        sentence = f"feature {old.name}: it may be missing today, and would be demanded"
        yield _change(f"{path}.nullable", "may be missing", "demanded", sentence)
    if old.policy != new.policy:
        stricter = new.policy == "reject"
        sentence = f"feature {old.name}: policy {old.policy} would become {new.policy}"
        yield _change(f"{path}.policy", old.policy, new.policy, sentence, breaks=stricter)
    yield from _range(old, new)
    yield from _categories(old, new)


def _range(old: Feature, new: Feature) -> Iterator[Check]:
    """A narrower range refuses requests; with another policy it marks or moves numbers."""
    if (old.low, old.high) == (new.low, new.high):
        return
    narrower = new.low > old.low or new.high < old.high
    before, after = _span(old), _span(new)
    yield _change(
        f"schema.{old.name}.range",
        before,
        after,
        f"feature {old.name}: range {before} would {'shrink' if narrower else 'grow'} to {after}",
        breaks=narrower and old.policy == new.policy == "reject",
    )


def _span(feature: Feature) -> str:
    low = "" if feature.low == -FLOAT32_MAX else f"{feature.low:g}"
    high = "" if feature.high == FLOAT32_MAX else f"{feature.high:g}"
    return f"{low}..{high}"


def _categories(old: Feature, new: Feature) -> Iterator[Check]:
    gone = [name for name in old.categories if name not in new.categories]
    if gone:
        refused = new.policy == "reject"
        words = ", ".join(gone)
        end = "refused" if refused else "answered as never seen"
        yield _change(
            f"schema.{old.name}.categories",
            words,
            "none of them",
            f"feature {old.name}: categories {words} would be {end}",
            breaks=refused,
        )
    come = [name for name in new.categories if name not in old.categories]
    if come:
        words = ", ".join(come)
        sentence = f"feature {old.name}: categories {words} are new"
        path = f"schema.{old.name}.categories"
        yield _change(path, "nothing", words, sentence, breaks=False)
