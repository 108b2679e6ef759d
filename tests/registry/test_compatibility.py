"""A schema that would refuse or misread a client's requests is refused, with its path."""

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace as changed

from contracts.manifest import Manifest
from contracts.schema import Schema, boolean, category, integer, number, timestamp
from registry.compatibility import compatibility
from registry.gate import judge_version

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden"
MANIFEST = Manifest.read((GOLDEN / "manifest.v1.json").read_bytes())
OLD = Schema(
    features=(
        number("a", 0, 10, unit="EUR"),
        integer("b", 0, 5, nullable=True),
        category("c", ["x", "y"], policy="flag"),
        category("d", ["x", "y"]),
        boolean("e"),
        timestamp("t", "2020-01-01", parts=("hour",)),
    )
)


def with_(name: str, feature: Any) -> Schema:
    kept = {f.name: f for f in OLD.features} | {name: feature}
    return Schema(features=tuple(f for f in kept.values() if f is not None))


@pytest.mark.parametrize(
    ("schema", "path", "sentence"),
    [
        (with_("a", None), "schema.a", "feature a: clients send it, and it would be refused"),
        (with_("f", number("f")), "schema.f", "clients do not send it, and it would be required"),
        (with_("a", number("a", 0, 9, unit="EUR")), "schema.a.range", "0..10 would shrink to 0..9"),
        (with_("a", number("a", 0, 10, unit="kEUR")), "schema.a.unit", "EUR would become kEUR"),
        (with_("a", integer("a", 0, 10)), "schema.a.type", "expected type float, got int"),
        (with_("b", integer("b", 0, 5)), "schema.b.nullable", "may be missing today"),
        (with_("c", category("c", ["x", "y"])), "schema.c.policy", "flag would become reject"),
        (with_("d", category("d", ["x"])), "schema.d.categories", "categories y would be refused"),
        (with_("e", category("e", ["x"])), "schema.e.type", "expected type bool, got category"),
        (
            with_("t", timestamp("t", "2021-01-01", parts=("hour",))),
            "schema.t.range",
            "2020-01-01T00:00:00Z..2099-12-31T23:59:59.999999Z would shrink to 2021-01-01",
        ),
    ],
)
def test_what_breaks_clients_is_refused_with_its_path(
    schema: Schema, path: str, sentence: str
) -> None:
    old, new = (changed(MANIFEST, schema=s) for s in (OLD, schema))
    (broken,) = [check for check in compatibility(new, old) if check.refuses]

    assert broken.path == path
    assert sentence in broken.sentence
    assert broken.expected
    assert broken.got
    assert not judge_version(new, old).allowed


@pytest.mark.parametrize(
    ("schema", "sentence"),
    [
        (
            with_("t", timestamp("t", "2020-01-01", parts=("hour", "day"), time_zone="Asia/Tokyo")),
            "the model would get hour, day in Asia/Tokyo instead of hour in UTC",
        ),
        (with_("a", number("a", -5, 10, unit="EUR")), "range 0..10 would grow to -5..10"),
        (with_("a", number("a", 0, 9, unit="EUR", policy="clip")), "policy reject would become c"),
        (with_("b", number("b", 0, 5, nullable=True)), "expected type int, got float"),
        (with_("b", integer("b", 0, 5, unit="m", nullable=True)), "unit no unit would become m"),
        (
            with_("c", category("c", ["x"], policy="flag")),
            "answered like a category never seen",
        ),
        (with_("d", category("d", ["x", "y", "z"])), "categories z are new"),
        (with_("f", number("f", nullable=True)), "clients do not send it, and it may be missing"),
    ],
)
def test_what_only_widens_is_reported_and_passes(schema: Schema, sentence: str) -> None:
    old, new = (changed(MANIFEST, schema=s) for s in (OLD, schema))
    checks = compatibility(new, old)

    assert judge_version(new, old).allowed
    assert [c for c in checks if sentence in c.sentence and not c.judged]
    assert any(c.path == "schema" and c.passed for c in checks)


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("answers", {"classes": ("yes", "no")}),
        ("answers.unit", {"output_unit": "kEUR"}),
    ],
)
def test_answers_that_mean_something_else_break_clients(path: str, change: dict[str, Any]) -> None:
    old = changed(MANIFEST, output_unit="EUR")
    refusing = [check.path for check in compatibility(changed(old, **change), old) if check.refuses]

    assert refusing == [path]
