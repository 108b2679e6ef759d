"""The line of traffic and the answer of a row are what the contract says, and say the same."""

import json
import time
from asyncio import Future, new_event_loop
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import RFC_4122, UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.manifest import Manifest, Pointer
from contracts.split import bucket_of
from contracts.traffic import TrafficRecord
from services.faults import Fault
from services.inference.batch_result import BatchClock
from services.inference.ids import IdsFromHash, new_id_tails
from services.inference.loader import ServedModel
from services.inference.pending import Assignment, FallbackSink, PendingRequest, Request
from services.inference.render import Renderer
from services.inference.rows import Rows
from services.protocols.prediction import PredictionTemplate

GOLDEN = Path(__file__).parents[1] / "contracts/golden"
POINTER = Pointer.read((GOLDEN / "pointer.v1.json").read_bytes())
MANIFEST = Manifest.read((GOLDEN / "manifest.v1.json").read_bytes())
NAMES = {
    "binary": ("no%b", 'y"es%'),
    "multiclass": ("a", "b\\", "ü"),
    "regression": ("low", "%(x)s"),
}
NOBODY: Any = None
TASKS = st.sampled_from(sorted(NAMES))
FLAGS = st.lists(st.sampled_from(["age:clipped", 'x"%b:unseen']), max_size=2).map(tuple)
ASSIGNMENTS = st.none() | st.builds(
    Assignment, st.just("3f4d5a1b8e1a3ecb"), st.just("challenger"), st.floats(0.01, 1)
)
CLOCK = BatchClock(datetime(2026, 1, 31, 12, tzinfo=UTC))


def manifest(task: str) -> Manifest:
    names: tuple[str, ...] = NAMES[task]
    changes: dict[str, Any] = {"classes": names, "outputs": ()}
    if task == "regression":
        changes = {"classes": (), "outputs": names, "threshold": None}
    return msgspec.structs.replace(MANIFEST, task=task, **changes)


def served(task: str) -> ServedModel:
    made = manifest(task)
    return ServedModel(POINTER, made, NOBODY, NOBODY, Renderer(POINTER, made), 1)


@st.composite
def batches(draw: st.DrawFn, task: str) -> list[PendingRequest]:
    """Requests of some rows each, as the decoder and the batcher leave them."""
    batch = []
    for _ in range(draw(st.integers(1, 4))):
        # Zero rows are left of a request on whose rows the model failed one by one.
        n_rows = draw(st.integers(0, 4))
        scores = st.lists(
            st.floats(0, 1, width=32), min_size=len(NAMES[task]), max_size=len(NAMES[task])
        )
        rows = Rows(
            [json.dumps({"x%b": draw(st.integers())}).encode() for _ in range(n_rows)],
            [[0.0]] * n_rows,
            [draw(FLAGS) for _ in range(n_rows)],
        )
        name = draw(st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1))
        batch.append(
            PendingRequest(
                rows,
                Request(b"", name, draw(st.sampled_from([b"", b"ada"])), time.monotonic()),
                NOBODY,
                NOBODY,
                time.monotonic(),
                draw(ASSIGNMENTS),
                scores=[draw(scores) for _ in range(n_rows)],
            )
        )
    return batch


@given(TASKS.flatmap(lambda task: st.tuples(st.just(task), batches(task))))
def test_lines_and_answers_say_what_was_asked_and_scored(
    drawn: tuple[str, list[PendingRequest]],
) -> None:
    task, asked = drawn
    model = served(task)
    result = model.renderer.result(asked, CLOCK)
    rows = [(pending, i) for pending in asked for i in range(len(pending.rows))]
    assert len(result.ids) == len(rows)
    if not rows:
        return
    waits = {id(pending): 0.001 * (index + 1) for index, pending in enumerate(asked)}
    lines = model.renderer.lines(result, asked, list(waits.values())).splitlines(keepends=True)
    template = PredictionTemplate(model)
    together = json.loads(b"[" + template.many(result, slice(0, len(lines))) + b"]")
    assert len(lines) == len(rows) == len(together)

    for index, (line, (pending, row)) in enumerate(zip(lines, rows, strict=True)):
        record = TrafficRecord.read(line)
        scores = pending.scores[row]
        by_name = dict(zip(NAMES[task], scores, strict=True))
        likeliest = max(by_name, key=lambda name: by_name[name])
        expected: tuple[object, float] = (likeliest, max(scores))
        if task == "regression":
            expected = (scores[0], scores[0])
        elif task == "binary":
            expected = (NAMES[task][scores[1] >= (MANIFEST.threshold or 0.5)], scores[1])

        assert line.endswith(b"}\n")
        assert json.loads(line) == json.loads(record.write())
        assert record.features == json.loads(bytes(pending.rows.features[row]))
        assert (record.prediction, record.score) == expected
        assert record.scores == by_name
        assert record.flags == pending.rows.flags[row]
        assert record.request_id == pending.request.request_id
        assert record.latency_ms == pytest.approx(waits[id(pending)] * 1e3)
        assert (record.model, record.version) == (POINTER.name, POINTER.version)
        user = bucket_of(POINTER.name, b"ada")[1] if pending.request.unit else ""
        split = pending.assignment or Assignment(user, "", 0.0)
        assert (record.unit or "", record.assigned or "") == (split.unit, split.assigned)
        assert (record.weight or 0.0) == split.weight
        assert (b'"assigned"' in line) == (pending.assignment is not None)
        single = json.loads(template.one(result, index))
        assert single == together[index]
        field = "values" if task == "regression" else "probabilities"
        assert single.pop(field) == record.scores
        assert single == {
            name: getattr(record, name)
            for name in ("prediction_id", "model", "version", "variant", "time", "prediction")
        } | {"flags": list(record.flags)}


@given(st.lists(st.integers(1, 300), min_size=1, max_size=6))
def test_prediction_ids_are_never_given_twice_and_sort_by_time(sizes: list[int]) -> None:
    later = BatchClock(datetime(2026, 1, 31, 12, 0, 1, tzinfo=UTC))
    ids = [CLOCK.id_head + tail for size in sizes for tail in new_id_tails(size)]

    assert len(set(ids)) == sum(sizes)
    assert max(ids) < later.id_head
    assert {UUID(each.decode()).version for each in ids} == {7}


SOURCES = st.binary(max_size=40)
INDICES = st.lists(st.integers(0, 5000), unique=True, max_size=6)


@given(SOURCES, INDICES)
def test_ids_from_a_hash_are_the_same_each_time_and_valid_uuids(
    source: bytes, indices: list[int]
) -> None:
    ids = IdsFromHash(source)("0" * 64, indices)

    assert ids == IdsFromHash(source)("0" * 64, indices)
    assert [str(UUID(each.decode())).encode() for each in ids] == ids
    assert {(UUID(each.decode()).version, UUID(each.decode()).variant) for each in ids} <= {
        (8, RFC_4122)
    }


@given(st.sets(st.tuples(SOURCES, st.sampled_from(["a" * 64, "b" * 64, "c"])), max_size=6))
def test_ids_from_a_hash_differ_by_source_digest_and_row(sources: set[tuple[bytes, str]]) -> None:
    ids = [each for source, digest in sources for each in IdsFromHash(source)(digest, range(12))]

    assert len(set(ids)) == len(ids) == 12 * len(sources)


def test_requests_with_chosen_ids_share_a_batch_with_others() -> None:
    """The refused row 1 leaves the rows 0 and 2, which keep the ids of their places."""
    model = served("binary")
    choose = IdsFromHash(b"stream/0/17")
    both = [
        PendingRequest(
            Rows([b"{}"] * 2, [[0.0]] * 2, [()] * 2, refused),
            Request(b"", "r", b"", 0.0, choose_ids=chosen),
            NOBODY,
            NOBODY,
            0.0,
            scores=[[0.5, 0.5]] * 2,
        )
        for chosen, refused in ((choose, {1: Fault("prediction_failed")}), (None, {}))
    ]

    result = model.renderer.result(both, CLOCK)
    lines = model.renderer.lines(result, both, [0.0, 0.0]).splitlines()
    logged = [json.loads(line)["prediction_id"].encode() for line in lines]

    assert logged[:2] == choose(POINTER.digest, [0, 2])
    assert [UUID(each.decode()).version for each in logged] == [8, 8, 7, 7]
    assert logged[2].startswith(CLOCK.id_head)


@pytest.mark.parametrize(
    ("code", "is_asked_again"), [("prediction_failed", True), ("overloaded", False)]
)
def test_only_a_model_that_fails_gives_a_batch_a_second_chance(
    code: str, is_asked_again: bool
) -> None:
    loop = new_event_loop()
    first: Future[bytes] = Future(loop=loop)
    again: list[bool] = []
    chance = FallbackSink(first, {"prediction_failed"}, lambda _fault: again.append(True))
    chance.set_exception(Fault(code))

    assert chance.done()
    assert (bool(again), first.done()) == (is_asked_again, not is_asked_again)
    if first.done():
        assert first.exception() is not None
    loop.close()
