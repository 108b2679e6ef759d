"""Labels are imported from files: CSV or JSON lines, as a whole or not at all."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from secrets import token_hex

import msgspec

from contracts.errors import InvalidData
from contracts.files import write_whole
from contracts.labels import LABEL_FIELDS, Label, label_of, label_violations
from contracts.manifest import Manifest
from contracts.names import Layout
from contracts.times import utc_text
from contracts.uuids import uuid7_time

MAX_ROWS_NAMED = 5
ADDED_PREFIX = "added-"
"""Prefix of files that `add_labels` wrote: they are whole, and no process holds them open."""


@dataclass(frozen=True)
class AddedLabels:
    """Labels that were imported from a file, and the file they were written to.

    A label is due, and counts from then on, `label_delay_s` seconds after its prediction.
    `not_due` are those that are not yet; `all_due_at` is when the last is, in RFC 3339, or empty
    if all are. Ids that hold no time (of scored files, jobs and streams) count as due.
    """

    rows: int
    path: Path
    label_delay_s: float = 0.0
    not_due: int = 0
    all_due_at: str = ""


def add_labels(layout: Layout, manifest: Manifest, source: Path, *, now: datetime) -> AddedLabels:
    """Import labels from a file with `prediction_id`, `truth` and optionally `time`.

    A file is taken as a whole: one wrong row refuses it. A label without a time is of `now`.

    Raises:
        InvalidData: the file or a row of it is not as expected; the first five rows are named.
        Unwritable: the folder of labels cannot be written.

    """
    labels: list[Label] = []
    faults: list[str] = []
    for line, row in _rows(source):
        violations = label_violations(row, manifest.classes, f"{line}: ")
        if violations:
            faults.append(str(violations[0]))
        elif isinstance(row, dict):
            labels.append(label_of(row, manifest.classes, now))
    if faults:
        shown = "; ".join(islice(faults, MAX_ROWS_NAMED))
        more = len(faults) - MAX_ROWS_NAMED
        rest = f"; and {more} more" if more > 0 else ""
        raise InvalidData(f"{source}: {shown}{rest}", remedy="fix the file; nothing was imported")
    if not labels:
        raise InvalidData(
            f"{source}: expected at least one label, got none", remedy="see docs/monitoring.md"
        )
    name = f"{ADDED_PREFIX}{now.astimezone(UTC):%Y%m%dT%H%M%S}-{token_hex(4)}.jsonl"
    path = layout.labels(manifest.name) / name
    write_whole(path, msgspec.json.Encoder().encode_lines(labels))
    return AddedLabels(len(labels), path, manifest.label_delay_s, *_not_due(labels, manifest, now))


def _not_due(labels: Sequence[Label], manifest: Manifest, now: datetime) -> tuple[int, str]:
    """How many labels are not due at `now`, and when the last of them is, as text."""
    delay = timedelta(seconds=manifest.label_delay_s)
    times = (uuid7_time(label.prediction_id) for label in labels)
    later = [min(time, now) + delay for time in times if time and time > now - delay]
    if not delay or not later:
        return 0, ""
    return len(later), utc_text(max(later), "seconds")


def _rows(source: Path) -> Iterator[tuple[str, object]]:
    """The rows of a file as they are written, each with its line."""
    try:
        if source.suffix.lower() == ".csv":
            yield from _csv_rows(source)
        else:
            yield from _json_rows(source)
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise InvalidData(
            f"{source}: expected a CSV (.csv) or JSON lines file, got {err}",
            remedy="see docs/monitoring.md",
        ) from err


def _csv_rows(source: Path) -> Iterator[tuple[str, object]]:
    with source.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        head = set(reader.fieldnames or ())
        if not {"prediction_id", "truth"} <= head or head - set(LABEL_FIELDS):
            raise InvalidData(
                f"{source}: expected the columns prediction_id, truth and optionally time, "
                f"got {', '.join(sorted(map(str, head))) or 'none'}",
                remedy="name the columns in the first line",
            )
        for row in reader:
            # DictReader puts cells beyond the header's columns under the key None.
            yield f"line {reader.line_num}", list(row.values()) if None in row else row


def _json_rows(source: Path) -> Iterator[tuple[str, object]]:
    with source.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = msgspec.json.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as err:
                row = str(err)
            yield f"line {number}", row
