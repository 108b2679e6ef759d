"""A page of results as JSON, CSV or Parquet."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from services.faults import Fault
from services.jobs.job import Job

ResultForm = Literal["json", "csv", "parquet"]
MEDIA_TYPES: Mapping[ResultForm, bytes] = {
    "json": b"application/json",
    "csv": b"text/csv",
    "parquet": b"application/vnd.apache.parquet",
}
PAGE_ROWS, MAX_PAGE_ROWS = 1000, 10_000
"""Rows of a page if the client names no number, and at most."""
RenderPage = Callable[[list[bytes]], bytes]
SCORE_FIELDS = ("probabilities", "margins", "decisions", "values")
"""The fields of a prediction that hold its scores; each prediction has one of them."""


def next_row(job: Job, first_row: int, n_rows: int) -> int | None:
    """The first row behind a page; None if the page is the last."""
    end = first_row + n_rows
    return end if job.n_rows is not None and end < job.n_rows else None


def page_renderer(form: ResultForm, job: Job, first_row: int, n_rows: int) -> RenderPage:
    """What makes the page with these rows of a job, from their lines."""

    def render(lines: list[bytes]) -> bytes:
        if form == "json":
            return _json_page(lines, job, next_row(job, first_row, n_rows))
        records = [_record(first_row + index, line) for index, line in enumerate(lines)]
        return _csv_page(records) if form == "csv" else _parquet_page(records)

    return render


def _json_page(lines: Sequence[bytes], job: Job, following: int | None) -> bytes:
    """`{"results": [...], "rows": n, "next": cursor}`; the results are the worker's own bytes."""
    rows = b"%d" % (job.n_rows or 0)
    cursor = b"null" if following is None else b'"%d"' % following
    return b'{"results":[%b],"rows":%b,"next":%b}' % (b",".join(lines), rows, cursor)


def _record(row: int, line: bytes) -> dict[str, Any]:
    """A result as a flat record: the number of its row, the prediction, or the error."""
    result = msgspec.json.decode(line)
    record: dict[str, Any] = {
        "row": row, "prediction_id": None, "version": None, "time": None, "prediction": None,
    }  # fmt: skip
    error = result.get("error")
    if error is None:
        record |= {name: result[name] for name in record if name in result}
        for field in SCORE_FIELDS:
            record |= {f"{field}.{name}": v for name, v in result.get(field, {}).items()}
        record["flags"] = " ".join(result["flags"])
    else:
        record["error_code"] = error["code"]
        record["error"] = error["message"]
    return record


LAST_COLUMNS = ("flags", "error_code", "error")


def _columns(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every name that occurs, in order; the last ones are always there."""
    names: dict[str, None] = {}
    for record in records:
        names.update(dict.fromkeys(record))
    return [name for name in names if name not in LAST_COLUMNS] + list(LAST_COLUMNS)


def _csv_page(records: Sequence[Mapping[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, _columns(records), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().encode()


def _parquet_page(records: Sequence[Mapping[str, Any]]) -> bytes:
    """The records as a Parquet file.

    Raises:
        Fault: `not_acceptable` where pyarrow is not installed.

    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as err:
        message = "accept: expected application/json or text/csv, because pyarrow is not installed"
        raise Fault("not_acceptable", message) from err
    columns = {name: [record.get(name) for record in records] for name in _columns(records)}
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()
