"""The fast way accepts what the schema accepts, and nothing else."""

import json
import math
import re
import unicodedata
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.schema import Schema, category, integer, number
from services.faults import FAULTS, STATUSES, Fault
from services.inference import json_body
from services.inference.decode import Decoder
from services.inference.jsonl_log import JsonlLog
from services.inference.rows import Rows
from tests import tiny

DECODER = Decoder(tiny.SCHEMA)
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 120),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(18, 100),
    st.sampled_from(["north", "west", "yes", "no"]),
    st.lists(st.integers(), max_size=2),
)
rows = st.dictionaries(st.sampled_from([*tiny.SCHEMA.names, "x"]), values)
near_rows = rows.map(lambda row: tiny.GOOD | row)


def features_of(rows: Rows) -> list[dict[str, Any]]:
    """What the traffic log says of the rows."""
    return [json.loads(bytes(features)) for features in rows.features]


@given(rows | near_rows, st.booleans())
def test_a_body_is_accepted_iff_the_schema_has_nothing_against_it(
    row: dict[str, Any], spaces: bool
) -> None:
    body = json.dumps(row, separators=(" , ", " : ") if spaces else (",", ":")).encode()
    violations = tiny.SCHEMA.violations(row)
    try:
        got = DECODER.one(body)
    except Fault as fault:
        refused = fault.violations
    else:
        refused = ()
        applied, flags = tiny.SCHEMA.apply_policies(row)
        assert features_of(got) == [applied]
        assert sorted(got.flags[0]) == sorted(flags)
        matrix = np.array(got.numbers, dtype=np.float32)
        assert np.array_equal(matrix, tiny.SCHEMA.matrix([applied]), equal_nan=True)

    assert sorted(refused, key=str) == sorted(violations, key=str)


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_no_bytes_raise_anything_but_a_fault(body: bytes) -> None:
    with pytest.raises(Fault):
        DECODER.one(body)


@given(st.lists(st.tuples(st.sampled_from(["age", "lines", "work"]), st.integers(18, 40))))
def test_a_key_that_stands_twice_is_always_found(extra: list[tuple[str, int]]) -> None:
    body = json.dumps(tiny.GOOD)[:-1] + "".join(f', "{k}": {v}' for k, v in extra) + "}"
    if extra:
        with pytest.raises(Fault, match="each key once"):
            DECODER.one(body.encode())
    else:
        assert features_of(DECODER.one(body.encode()))[0]["age"] == 40


class Counted(str):
    """A name that counts how often it is compared."""

    __slots__ = ()
    comparisons = 0

    def __eq__(self, other: object) -> bool:
        Counted.comparisons += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_finding_repeated_names_takes_work_in_proportion_to_their_number() -> None:
    """A quadratic search would compare 50 million times and block the event loop for minutes."""
    names = [Counted(f"k{index}") for index in range(10_000)]
    Counted.comparisons = 0

    assert json_body.repeated([*names, Counted("k7"), Counted("k3")]) == ["k3", "k7"]
    assert Counted.comparisons < 5 * len(names)


def test_the_violations_for_repeated_names_are_limited() -> None:
    body = "{" + ", ".join(f'"k{i % 1000}": 1' for i in range(2000)) + "}"
    with pytest.raises(Fault) as caught:
        json_body.parse_json(body.encode())

    assert len(caught.value.violations) == json_body.MAX_VIOLATIONS


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 10**30, 2**53 + 1])
def test_integers_beyond_64_bits_take_the_exact_way(value: int) -> None:
    decoder = Decoder(Schema(features=(integer("n"),)))

    assert features_of(decoder.one(json.dumps({"n": value}).encode())) == [{"n": value}]


def test_a_missing_number_is_nan_and_a_bound_is_inside() -> None:
    decoder = Decoder(Schema(features=(number("a", 0, 1, nullable=True), number("b", 0, 1))))
    row = decoder.one(b'{"b": 1}')

    assert math.isnan(row.numbers[0][0])
    assert row.numbers[0][1] == 1.0
    assert features_of(row) == [{"a": None, "b": 1.0}]


def test_a_log_turns_its_file_at_midnight_and_at_its_size(tmp_path: Path) -> None:
    log = JsonlLog(tmp_path, max_file_bytes=20)
    evening = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
    log.append([b"{1}", b"{2}"], evening)
    log.append([b"{3}" * 5], evening)
    log.append([b"{4}"], evening)
    log.append([b"{5}"], evening + timedelta(seconds=2))
    log.close()

    days = {p.name: len(list(p.iterdir())) for p in tmp_path.iterdir()}
    assert days == {"2026-01-31": 2, "2026-02-01": 1}


def test_a_long_log_is_brought_to_the_disk_and_loses_nothing(tmp_path: Path) -> None:
    log = JsonlLog(tmp_path, max_file_bytes=1 << 30, by_day=False)
    lines = [b"%07d" % number for number in range(200_000)]
    for start in range(0, len(lines), 10_000):
        log.append(lines[start : start + 10_000] * 8, datetime(2026, 1, 31, tzinfo=UTC))
    log.close()

    (path,) = tmp_path.glob("*.jsonl")
    assert path.stat().st_size == 8 * 200_000 * 8
    assert set(path.read_bytes().split()) == set(lines)


def test_a_write_that_stops_in_a_line_leaves_no_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os

    log = JsonlLog(tmp_path, max_file_bytes=10**6)
    now = datetime(2026, 1, 31, tzinfo=UTC)
    log.append([b'{"a":1}'], now)
    real = os.write
    calls = iter([lambda fd, data: real(fd, data[:3]), None])

    def full_disk(fd: int, data: bytes) -> int:
        act = next(calls)
        if act is None:
            raise OSError(28, "No space left on device")
        return act(fd, data)

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full_disk)
        with pytest.raises(OSError, match="No space left"):
            log.append([b'{"b":2}'], now)
    log.append([b'{"c":3}'], now)
    log.close()
    lines = next(tmp_path.glob("*/*")).read_bytes().split(b"\n")

    assert lines == [b'{"a":1}', b'{"c":3}', b""]
    assert msgspec.json.decode(lines[1]) == {"c": 3}


def test_every_code_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "errors.md").read_text()
    assert STATUSES.keys() == FAULTS.keys()
    for code, meaning in FAULTS.items():
        assert re.search(rf"\| `{code}` \| {STATUSES[code]} \| `\w+` \| {meaning} \|", page)


@pytest.mark.parametrize("padding", [" ", "\t", " \n"])
def test_white_space_of_a_body_is_not_logged(padding: str) -> None:
    row = json.dumps(tiny.GOOD)
    padded = row.replace(", ", "," + padding * 50_000)
    short = 2 * len(row)
    one = DECODER.one(padded.encode())
    many = DECODER.fast_rows(f'{{"rows":[{padded},{row}]}}'.encode(), 10)

    assert many is not None
    for text in (*one.features, *many.features):
        assert len(bytes(text)) <= short
        assert json.loads(bytes(text)) == tiny.GOOD


OWN_NAMES = Schema(
    features=(
        number("größe", 0, 10),
        number("fixed acidity", 0, 10),
        number("3P%", 0, 1),
        number("class:of, it", 0, 9),
        category("straße", ["süd", "nord"], policy="flag"),
    )
)
OWN_ROW = {"größe": 1.0, "fixed acidity": 2.5, "3P%": 0.5, "class:of, it": 3, "straße": "süd"}


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_and_categories_are_the_users_own_in_any_form_of_unicode(form: Any) -> None:
    text = unicodedata.normalize(form, json.dumps(OWN_ROW, ensure_ascii=False))
    got = Decoder(OWN_NAMES).one(text.encode())

    assert features_of(got) == [OWN_ROW]
    assert got.flags == ((),)
    assert np.array(got.numbers, dtype=np.float32).tolist() == [[1.0, 2.5, 0.5, 3.0, 0.0]]


def test_a_name_in_two_forms_of_unicode_is_one_key_twice() -> None:
    body = f'{{"größe":1,"{unicodedata.normalize("NFD", "größe")}":2}}'.encode()
    with pytest.raises(Fault, match="größe: expected each key once"):
        Decoder(OWN_NAMES).one(body)
