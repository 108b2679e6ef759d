"""Jobs in SQLite, as the service sees them: accept, find, list, read results, cancel."""

import sqlite3
import time
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from services.faults import Fault
from services.jobs.job import OPEN_STATES, Job, NewJob
from services.jobs.sqlite_database import JobDatabase
from services.jobs.store import Chunk, JobPage, ModelCount, QueueFigures
from services.protocols.fault_body import FaultDetail

RETRY_OPEN_S = 10
"""When to try again where an owner has too many open jobs: they are scored within seconds or
hours, so this is only a pause."""
READY_NOW = 0.0
"""When a job is ready that need not wait: no time of a clock, which may be set back."""
COLUMNS = (
    "seq", "owner", "id", "model", "state", "kind", "digest", "created_at", "started_at",
    "ended_at", "expires_at", "attempts", "pointer", "source", "n_rows", "rows_done", "n_chunks",
    "rejected", "error", "callback", "callback_state",
)  # fmt: skip
SELECT = f"SELECT {', '.join(COLUMNS)} FROM jobs"
RETURNING = f"RETURNING {', '.join(COLUMNS)}"
OPEN = f"state IN ('{OPEN_STATES[0]}', '{OPEN_STATES[1]}')"


class SqliteAcceptance:
    """The service's side of a database of jobs; see `JobAcceptance`.

    A job that ends is removed `retention_s` seconds later.
    """

    def __init__(self, database: JobDatabase, retention_s: float) -> None:
        self._database = database
        self._retention_s = retention_s

    def accept(self, job: NewJob, max_open: int) -> Job:
        """Keep a job, on the disk when this returns; see `JobAcceptance.accept`."""
        self._database.check_space(len(job.body))
        with self._database.write() as connection:
            known = _find(connection, job.owner, job.id)
            if known is not None:
                if known.digest != job.digest:
                    raise Fault("job_conflict")
                return known
            _check_open(connection, job.owner, max_open)
            now = time.time()
            row = connection.execute(
                "INSERT INTO jobs (owner, id, model, state, kind, digest, created_at, ready_at,"
                " n_rows, callback, callback_state)"
                f" VALUES (?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?) {RETURNING}",
                (
                    job.owner, job.id, job.model, job.kind, job.digest, now, READY_NOW, job.n_rows,
                    job.callback, "waiting" if job.callback else "none",
                ),
            ).fetchone()  # fmt: skip
            accepted = job_of(row)
            connection.execute("INSERT INTO inputs VALUES (?, ?)", (accepted.seq, job.body))
            return accepted

    def find(self, owner: str, job_id: str) -> Job:
        """A job; see `JobAcceptance.find`."""
        with self._database.read() as connection:
            found = _find(connection, owner, job_id)
        if found is None:
            raise Fault("unknown_job")
        return found

    def list_open(self, owner: str, after: int, limit: int) -> JobPage:
        """The open jobs behind a cursor; see `JobAcceptance.list_open`."""
        with self._database.read() as connection:
            rows = connection.execute(
                f"{SELECT} WHERE owner = ? AND {OPEN} AND seq > ? ORDER BY seq LIMIT ?",
                (owner, after, limit + 1),
            ).fetchall()
        jobs = [job_of(row) for row in rows[:limit]]
        return JobPage(jobs, jobs[-1].seq if len(rows) > limit else None)

    def chunks(self, job: Job, first_row: int, n_rows: int) -> Sequence[Chunk]:
        """The chunks that hold these rows; see `JobAcceptance.chunks`."""
        with self._database.read() as connection:
            rows = connection.execute(
                "SELECT first_row, n_rows, lines FROM results WHERE job = ? AND first_row < ?"
                " AND first_row + n_rows > ? ORDER BY first_row",
                (job.seq, first_row + n_rows, first_row),
            ).fetchall()
        return [Chunk(first, n, zlib.decompress(lines)) for first, n, lines in rows]

    def cancel(self, owner: str, job_id: str) -> Job:
        """Cancel a job; see `JobAcceptance.cancel`."""
        with self._database.write() as connection:
            found = _find(connection, owner, job_id)
            if found is None:
                raise Fault("unknown_job")
            if not found.is_open:
                raise Fault("job_ended", f"job: expected an open job, got a {found.state} one")
            return end(connection, found, "cancelled", self._retention_s)

    def figures(self) -> QueueFigures:
        """What is measured; see `JobAcceptance.figures`."""
        if not self._database.exists():
            return QueueFigures((), (), (), 0.0)
        now = time.time()
        with self._database.read() as connection:
            jobs = connection.execute(
                f"SELECT model, state, count(*) FROM jobs WHERE {OPEN} GROUP BY state, model"
            ).fetchall()
            totals = connection.execute("SELECT model, outcome, n FROM totals").fetchall()
            (oldest,) = connection.execute(
                "SELECT min(max(ready_at, created_at)) FROM jobs WHERE state = 'queued'"
            ).fetchone()
        counts = [ModelCount(*row) for row in totals]
        return QueueFigures(
            [ModelCount(*row) for row in jobs],
            [each for each in counts if not each.state.startswith("rows_")],
            [each for each in counts if each.state.startswith("rows_")],
            0.0 if oldest is None else max(now - oldest, 0.0),
        )


def job_of(row: Sequence[Any]) -> Job:
    """The job in a row of `COLUMNS`."""
    fields: dict[str, Any] = dict(zip(COLUMNS, row, strict=True))
    error = fields["error"]
    fields["error"] = msgspec.json.decode(error, type=FaultDetail) if error else None
    return Job(**fields)


def end(
    connection: sqlite3.Connection,
    job: Job,
    state: str,
    retention_s: float,
    error: FaultDetail | None = None,
) -> Job:
    """End a job within a transaction: its input goes, and its results if it did not finish."""
    now = time.time()
    callback = job.callback_state if state != "cancelled" else "none"
    row = connection.execute(
        "UPDATE jobs SET state = ?, ended_at = ?, expires_at = ?, lease = '', error = ?,"
        f" callback_state = ?, callback_at = ? WHERE seq = ? {RETURNING}",
        (
            state, now, now + retention_s, msgspec.json.encode(error) if error else b"",
            callback, now, job.seq,
        ),
    ).fetchone()  # fmt: skip
    connection.execute("DELETE FROM inputs WHERE job = ?", (job.seq,))
    if state != "finished":
        connection.execute("DELETE FROM results WHERE job = ?", (job.seq,))
    add_totals(connection, job.model, {state: 1})
    return job_of(row)


def add_totals(connection: sqlite3.Connection, model: str, amounts: Mapping[str, int]) -> None:
    """Add to the counts of a model that only rise."""
    connection.executemany(
        "INSERT INTO totals VALUES (?, ?, ?)"
        " ON CONFLICT (model, outcome) DO UPDATE SET n = n + excluded.n",
        [(model, outcome, amount) for outcome, amount in amounts.items() if amount],
    )


def _find(connection: sqlite3.Connection, owner: str, job_id: str) -> Job | None:
    row = connection.execute(f"{SELECT} WHERE owner = ? AND id = ?", (owner, job_id)).fetchone()
    return None if row is None else job_of(row)


def _check_open(connection: sqlite3.Connection, owner: str, max_open: int) -> None:
    """Refuse a job of an owner who has `max_open` open ones."""
    (n_open,) = connection.execute(
        f"SELECT count(*) FROM jobs WHERE owner = ? AND {OPEN}", (owner,)
    ).fetchone()
    if n_open >= max_open:
        message = f"jobs: expected at most {max_open} open ones per API key, got one more"
        raise Fault("too_many_jobs", message, retry_after_s=RETRY_OPEN_S)
