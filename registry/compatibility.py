"""Whether clients of production can go on with a new version: schema and answers compared."""

from collections.abc import Iterator

from contracts.decision import Check
from contracts.manifest import Manifest
from contracts.schema import FLOAT32_MAX, Feature
from contracts.timestamps import timestamp_text


def compatibility(candidate: Manifest, production: Manifest) -> list[Check]:
    """What a client of production may send or read today, and could not with the candidate.

    One check for each broken promise, and one for each change that breaks no request.
    """
    old = {feature.name: feature for feature in production.schema.features}
    new = {feature.name: feature for feature in candidate.schema.features}
    found = [*_answers(candidate, production)]
    for name in [name for name in old if name not in new]:
        sentence = f"feature {name}: clients send it, and it would be refused"
        found.append(_change(f"schema.{name}", old[name].expected, "no such feature", sentence))
    found += [_new_feature(new[name]) for name in new if name not in old]
    for name in [name for name in old if name in new]:
        found += _feature(old[name], new[name])
    if not any(check.refuses for check in found):
        expected = "every request that is accepted today"
        sentence = f"contract: {expected} stays accepted"
        found.append(_change("schema", expected, "accepted", sentence, breaks=False, judged=True))
    return found


def _change(
    path: str, expected: str, got: str, sentence: str, *, breaks: bool = True, judged: bool = False
) -> Check:
    """A difference between two versions; one that breaks nothing is only shown."""
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
        expected = f"{production.task} of {_outputs(production)}"
        got = f"{candidate.task} of {_outputs(candidate)}"
        yield _change("answers", expected, got, f"answers: expected {expected}, got {got}")
    if production.output_unit != candidate.output_unit:
        expected, got = (m.output_unit or "no unit" for m in (production, candidate))
        sentence = f"answers: their unit {expected} would become {got}"
        # Naming a unit that was always meant breaks nobody; a different unit is a different
        # number.
        yield _change("answers.unit", expected, got, sentence, breaks=bool(production.output_unit))
    if production.threshold != candidate.threshold:
        expected, got = (str(m.threshold) for m in (production, candidate))
        sentence = f"answers: the threshold {expected} would become {got}"
        yield _change("answers.threshold", expected, got, sentence, breaks=False)


def _outputs(manifest: Manifest) -> str:
    return ", ".join(manifest.classes or manifest.outputs)


def _new_feature(feature: Feature) -> Check:
    """A feature that clients do not send yet."""
    needed = not feature.nullable
    effect = "would be required" if needed else "may be missing"
    sentence = f"feature {feature.name}: clients do not send it, and it {effect}"
    path = f"schema.{feature.name}"
    return _change(path, "nothing", feature.expected, sentence, breaks=needed)


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
        sentence = f"feature {old.name}: it may be missing today, and would be required"
        yield _change(f"{path}.nullable", "may be missing", "required", sentence)
    if old.policy != new.policy:
        stricter = new.policy == "reject"
        sentence = f"feature {old.name}: policy {old.policy} would become {new.policy}"
        yield _change(f"{path}.policy", old.policy, new.policy, sentence, breaks=stricter)
    yield from _range(old, new)
    yield from _categories(old, new)
    before, after = _parts(old), _parts(new)
    if before != after:
        sentence = f"feature {old.name}: the model would get {after} instead of {before}"
        yield _change(f"{path}.parts", before, after, sentence, breaks=False)


def _parts(feature: Feature) -> str:
    """What the model gets of a timestamp: such as `hour, weekday in UTC`."""
    return f"{', '.join(feature.parts)} in {feature.time_zone}" if feature.is_timestamp else ""


def _range(old: Feature, new: Feature) -> Iterator[Check]:
    """A narrower range refuses requests; with a policy other than reject it changes numbers."""
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
    if feature.is_timestamp:
        return "..".join(map(timestamp_text, (feature.low, feature.high)))
    low = "" if feature.low == -FLOAT32_MAX else f"{feature.low:g}"
    high = "" if feature.high == FLOAT32_MAX else f"{feature.high:g}"
    return f"{low}..{high}"


def _categories(old: Feature, new: Feature) -> Iterator[Check]:
    path = f"schema.{old.name}.categories"
    removed = [name for name in old.categories if name not in new.categories]
    if removed:
        refused = new.policy == "reject"
        names = ", ".join(removed)
        effect = "refused" if refused else "answered like a category never seen"
        sentence = f"feature {old.name}: categories {names} would be {effect}"
        yield _change(path, names, "none of them", sentence, breaks=refused)
    added = [name for name in new.categories if name not in old.categories]
    if added:
        names = ", ".join(added)
        sentence = f"feature {old.name}: categories {names} are new"
        yield _change(path, "nothing", names, sentence, breaks=False)
