"""Reading a body takes work in proportion to its size, on every route; steps count, not time."""

import sys
from collections.abc import Callable, Sized
from contextlib import suppress
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.faults import Fault
from services.inference.json_body import MAX_DEPTH
from tests.services.test_parser_limits import ROUTES

SCANS = frozenset({"count", "index", "remove", "insert", "find", "copy"})
"""Methods of containers that may look at each item: one call counts as many steps as items."""
FACTOR = 4
MAX_GROWTH = 6
SIZES = st.integers(MAX_DEPTH + 1, MAX_DEPTH + 200)
"""Bodies with fewer brackets skip the check of their depth, which is work of its own."""


def steps_of(act: Callable[[], object]) -> int:
    """The bytecode that an action runs, and the items that its scanning calls may look at."""
    steps = 0

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal steps
        del arg
        frame.f_trace_opcodes = True
        steps += event == "opcode"
        return trace

    def profile(frame: FrameType, event: str, arg: Any) -> None:
        nonlocal steps
        del frame
        if event == "c_call" and arg.__name__ in SCANS:
            owner = arg.__self__
            steps += len(owner) if isinstance(owner, Sized) else 1

    earlier = sys.gettrace(), sys.getprofile()
    sys.settrace(trace)
    sys.setprofile(profile)
    try:
        act()
    finally:
        sys.settrace(earlier[0])
        sys.setprofile(earlier[1])
    return steps


def listed(text: str, n: int) -> str:
    """`text` n times, with `#` replaced by its index, separated by commas."""
    return ",".join(text.replace("#", str(index)) for index in range(n))


BODIES: dict[str, Callable[[int], str]] = {
    "unknown keys": lambda n: "{" + listed('"k#":0', n) + "}",
    "one key twice": lambda n: "{" + listed('"k#":0', n) + ',"k0":0}',
    "all keys twice": lambda n: "{" + listed('"k#":0', n) + "," + listed('"k#":0', n) + "}",
    "empty rows": lambda n: '{"rows":[' + listed("{}", n) + "]}",
    "rows of unknown keys": lambda n: '{"rows":[' + listed('{"k#":0}', n) + "]}",
    "one row of unknown keys": lambda n: '{"rows":[{' + listed('"k#":0', n) + "}]}",
    "columns": lambda n: '{"columns":{' + listed('"k#":[0]', n) + "}}",
    "long columns": lambda n: '{"columns":{"age":[' + listed("#", n) + "]}}",
    "split": lambda n: '{"dataframe_split":{"columns":[' + listed('"k#"', n) + ',"k0"],"data":[]}}',
    "split rows": lambda n: (
        '{"dataframe_split":{"columns":["age"],"data":[' + listed("[#]", n) + "]}}"
    ),
    "records": lambda n: '{"dataframe_records":[' + listed('{"k#":0}', n) + "]}",
    "inputs": lambda n: '{"inputs":{' + listed('"k#":[]', n) + ',"x":[1]}}',
    "shape": lambda n: '{"inputs":[{"name":"x","shape":[' + listed("9", n) + "]}]}",
    "tensors": lambda n: (
        '{"inputs":[' + listed('{"name":"t#","shape":[1],"datatype":"FP64","data":[1]}', n) + "]}"
    ),
    "tensor": lambda n: (
        '{"inputs":[{"name":"age","datatype":"FP64","shape":[1],"data":['
        + listed("[#]", n)
        + "]}]}"
    ),
    "outputs": lambda n: '{"inputs":[],"outputs":[' + listed('{"name":"o#"}', n) + "]}",
    "labels": lambda n: '{"labels":[' + listed('{"prediction_id":"#"}', n) + "]}",
    "a label": lambda n: '{"prediction_id":"a","truth":"yes",' + listed('"k#":0', n) + "}",
    "nesting": lambda n: '{"age":' + "[" * n + "]" * n + "}",
    "wide nesting": lambda n: '{"age":[' + listed("[[[]]]", n) + "]}",
    "digits": lambda n: '{"age":' + "9" * n + "}",
    "numbers of many digits": lambda n: '{"x":[' + listed("9" * 4000, n // 10) + "]}",
    "escapes": lambda n: '{"age":"' + "\\u0041" * n + '"}',
}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("body_of", BODIES.values(), ids=BODIES)
@settings(max_examples=3, deadline=None)
@given(n=SIZES)
def test_work_grows_with_the_size_of_a_body(
    route: str, body_of: Callable[[int], str], n: int
) -> None:
    def read(size: int) -> int:
        body = body_of(size).encode()

        def act() -> None:
            with suppress(Fault):
                ROUTES[route](body)

        return steps_of(act)

    assert read(FACTOR * n) <= MAX_GROWTH * read(n)


def test_the_measure_sees_a_quadratic_search() -> None:
    def search(n: int) -> Callable[[], object]:
        names = [str(index) for index in range(n)]
        return lambda: [name for name in names if names.count(name) > 1]

    assert steps_of(search(800)) > 2 * MAX_GROWTH * steps_of(search(200))
