"""The rows of a large body are counted without parsing it, and as a parser counts them."""

import asyncio
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.faults import Fault
from services.jobs import inputs, json_row_count
from services.jobs.inputs import count_rows
from services.jobs.json_row_count import count_json_rows

texts = st.text(alphabet='ab\\"[]{},:é\n', max_size=6)
scalars = st.none() | st.booleans() | st.integers() | texts
values: st.SearchStrategy[Any] = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)


@pytest.fixture(autouse=True, scope="module")
def small_blocks() -> Any:
    """Blocks in which every state of a scan is carried over."""
    patch = pytest.MonkeyPatch()
    patch.setattr(json_row_count, "SCAN_BLOCK_BYTES", 5)
    yield
    patch.undo()


@given(st.lists(values, max_size=6), st.sampled_from([None, 1]), st.booleans())
def test_rows_are_counted_whatever_they_hold(
    rows: list[Any], indent: int | None, is_ascii: bool
) -> None:
    body = json.dumps({"rows": rows}, indent=indent, ensure_ascii=is_ascii).encode()
    assert count_json_rows(body) == len(rows)


@given(st.dictionaries(texts, st.just(0), min_size=1, max_size=4), st.data())
def test_columns_are_counted_by_their_values(names: dict[str, int], data: st.DataObject) -> None:
    n_rows = data.draw(st.integers(1, 5))
    column = st.lists(scalars, min_size=n_rows, max_size=n_rows)
    body = json.dumps({"columns": {name: data.draw(column) for name in names}}).encode()
    assert count_json_rows(body) == n_rows


@pytest.mark.parametrize("body", [b'{"rows":[{}', b'{"rows":[]}]', b'{"rows":["a]}', b"]["])
def test_what_does_not_match_is_refused(body: bytes) -> None:
    with pytest.raises(Fault, match="brackets or quotes that do not match") as refused:
        count_json_rows(body)
    assert refused.value.code == "invalid_json"


@pytest.mark.parametrize(
    "body", [b'{"other":[1]}', b"[1,2]", b'{"columns":{"a":[1,2],"b":[1]}}', b"1"]
)
def test_what_is_unclear_is_counted_by_the_worker(body: bytes) -> None:
    assert count_json_rows(body) is None


def test_a_large_body_holds_up_no_other_request() -> None:
    """The event loop goes on within a tenth of the time that the body takes to parse."""
    json_row_count.SCAN_BLOCK_BYTES = 262_144
    body = b'{"rows":[%b]}' % b",".join([b'{"a":1}'] * 900_000)
    begin = time.perf_counter()
    assert inputs.json_rows(body, 1_000_000).n_rows == 900_000
    parsing_s = time.perf_counter() - begin

    async def largest_gap_s() -> float:
        counting = asyncio.get_running_loop().run_in_executor(
            None, count_rows, "json", body, 1_000_000
        )
        gap_s, last = 0.0, time.perf_counter()
        while not counting.done():
            await asyncio.sleep(0.001)
            now = time.perf_counter()
            gap_s, last = max(gap_s, now - last), now
        assert await counting == 900_000
        return gap_s

    assert min(asyncio.run(largest_gap_s()) for _ in range(3)) < parsing_s / 2
