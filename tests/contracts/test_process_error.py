"""A process reports its failure as JSON; whoever started it reads what it can."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import errors
from contracts.errors import CorruptModel, PlatformError
from contracts.process_error import ProcessError, code_of, read_error, report_error

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, PlatformError)
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_error_survives_the_pipe(
    kind: type[PlatformError], capsys: pytest.CaptureFixture[str]
) -> None:
    report_error(kind("expected 1,\ngot 2", remedy="write 1"))
    error = read_error(capsys.readouterr().err.encode()).to_error()

    assert type(error) is kind
    assert (error.what, error.remedy) == ("expected 1,\ngot 2", "write 1")


def test_two_kinds_never_share_a_code() -> None:
    assert len({code_of(kind) for kind in KINDS}) == len(KINDS)


def test_warnings_before_the_report_are_skipped() -> None:
    report = ProcessError.of(CorruptModel("broken"))
    stderr = b'Warning: slow disk\n{"not": "a report"}\n' + report.write() + b"\n"

    assert read_error(stderr) == report


def test_a_traceback_is_read_as_prose() -> None:
    report = read_error(b"Traceback (most recent call last):\nMemoryError\n")

    assert report.code == "unknown"
    assert report.message.endswith("MemoryError")
    assert type(report.to_error()) is PlatformError


def test_a_code_of_a_newer_process_is_a_plain_error() -> None:
    error = ProcessError(code="out_of_luck", message="lost", remedy="wait").to_error()

    assert type(error) is PlatformError
    assert (error.what, error.remedy) == ("lost", "wait")


def test_a_process_that_wrote_nothing_has_an_empty_message() -> None:
    assert read_error(b"") == ProcessError(code="unknown", message="")


@given(st.binary(max_size=200))
def test_no_bytes_stop_the_reader(stderr: bytes) -> None:
    assert read_error(stderr).code
