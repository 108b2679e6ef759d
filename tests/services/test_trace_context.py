"""A service that takes part in traces logs the trace id and hands the trace on."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.protocols.trace_context import TRACEPARENT, trace_headers, trace_id_of
from tests.services.conftest import serving
from tests.services.http_client import GOOD, JSON, ask
from tests.services.protocol_bench import run_on_bench
from tests.services.raw_connection import request

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
PARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        (PARENT, "01"),
        (f"00-{TRACE_ID}-{SPAN_ID}-00", "00"),
        (f"00-{TRACE_ID}-{SPAN_ID}-fe", "00"),
        (f"cc-{TRACE_ID}-{SPAN_ID}-03-what-comes-later", "01"),
    ],
)
def test_a_valid_trace_is_handed_on_with_a_new_span(value: str, flags: str) -> None:
    headers = {TRACEPARENT: value.encode()}

    assert trace_id_of(headers) == TRACE_ID
    ((name, handed_on),) = trace_headers(headers)
    version, trace_id, span_id, got = handed_on.decode().split("-")
    assert (name, version, trace_id, got) == (TRACEPARENT, "00", TRACE_ID, flags)
    assert span_id != SPAN_ID
    assert trace_id_of({name: handed_on}) == TRACE_ID


@pytest.mark.parametrize(
    "value",
    [
        "",
        f"ff-{TRACE_ID}-{SPAN_ID}-01",
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"00-{TRACE_ID}-{SPAN_ID}-01-more",
        f"00-{TRACE_ID.upper()}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{SPAN_ID}-01 ",
        f"00-{TRACE_ID}-{SPAN_ID}",
    ],
)
def test_an_invalid_trace_is_none(value: str) -> None:
    headers = {TRACEPARENT: value.encode()}

    assert (trace_id_of(headers), trace_headers(headers)) == ("", ())


@given(st.binary(max_size=100))
def test_no_header_breaks_the_response(value: bytes) -> None:
    for _, handed_on in trace_headers({TRACEPARENT: value}):
        assert handed_on.isascii()
        assert len(handed_on) == len(PARENT)


@pytest.mark.parametrize("piece", [0, 50])
@pytest.mark.parametrize("traces", [True, False])
def test_the_fast_path_takes_part_only_where_it_is_asked_to(piece: int, *, traces: bool) -> None:
    bench = run_on_bench(request(extra=f"traceparent: {PARENT}\r\n"), piece, traces=traces)

    assert [r.trace_id for r in bench.handled] == [TRACE_ID if traces else ""]
    assert (TRACE_ID.encode() in bench.transport.written) == traces


@pytest.mark.slow
def test_a_trace_is_logged_with_the_prediction(models: Path, tmp_path: Path) -> None:
    with serving(tmp_path, models, SLIPWAY_SERVICE_TRACE="true") as service:
        named = JSON | {"traceparent": PARENT}
        for path, method in (("/models/tiny/predict", "POST"), ("/models/tiny", "GET")):
            status, _, headers = ask(
                service, path, None if method == "GET" else GOOD, method, named
            )
            assert status == 200
            assert headers["traceparent"].split("-")[1] == TRACE_ID
        assert "traceparent" not in ask(service, "/models/tiny/predict")[2]
        (log,) = service.layout.traffic("tiny").rglob("*.jsonl")
        records = [json.loads(line) for line in log.read_bytes().splitlines()]
    assert [record.get("trace_id") for record in records] == [TRACE_ID, None]
