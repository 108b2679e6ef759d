"""Jobs in SQLite, as a worker sees them: claim, write chunks, finish, fail, give back, expire.

A claim is one `UPDATE ... RETURNING`: two workers never get the same job. It is a lease, which
ends at a time: the job of a killed worker goes to another. Each write names the lease's token, so
a worker that lost its lease without noticing writes nothing.
"""

import secrets
import sqlite3
import time
import zlib
from collections.abc import Mapping, Sequence

import msgspec

from services.faults import Fault
from services.jobs.job import Job, fault_detail
from services.jobs.sqlite_database import JobDatabase
from services.jobs.sqlite_store import (
    COLUMNS,
    READY_NOW,
    RETURNING,
    SELECT,
    add_totals,
    end,
    job_of,
)
from services.jobs.store import Callback, Chunk, Lease, LeaseLost

COMPRESSION_LEVEL = 1
MAX_READY_DELAY_S = 3600.0
"""No job is given back for longer."""
CALLBACK_LEASE_S = 60.0
"""A notification that was taken is due again after this time, if its worker died meanwhile."""
CALLBACK_PAUSES_S = (5.0, 30.0, 120.0, 600.0, 3600.0, 6 * 3600.0)
"""The pauses between the attempts at a notification; after the last attempt it is given up."""
_LEASE_OVER = "state = 'running' AND (lease_until < :now OR lease_until > :too_late_lease)"
_NEXT_JOB = f"""
coalesce(
    (SELECT seq FROM jobs WHERE {_LEASE_OVER} ORDER BY lease_until LIMIT 1),
    (SELECT seq FROM jobs WHERE state = 'queued' AND ready_at > 0
     AND (ready_at <= :now OR ready_at > :too_late) ORDER BY ready_at, seq LIMIT 1),
    (SELECT seq FROM jobs WHERE state = 'queued' AND ready_at <= 0 ORDER BY ready_at, seq LIMIT 1)
)
"""
"""A job that had to wait has its turn before those that need not: new ones always come.

A time that is later than any worker writes is of a clock that was set back meanwhile."""
_DUE = (
    "callback_state = 'waiting' AND ended_at IS NOT NULL"
    " AND (callback_at <= :now OR callback_at > :too_late_callback)"
)
_ORIGIN = "substr(callback || '/', 1, 8 + instr(substr(callback || '/', 9), '/'))"
"""The scheme and host of a notification, for fairness between hosts."""


class SqliteLeases:
    """A worker's side of a database of jobs; see `JobLeases`.

    A lease ends after `lease_s` seconds unless it is renewed. A job that workers left
    `max_attempts` times without writing a chunk has failed. A job that ends is removed
    `retention_s` seconds later.
    """

    def __init__(
        self, database: JobDatabase, lease_s: float, max_attempts: int, retention_s: float
    ) -> None:
        self._database = database
        self._lease_s = lease_s
        self._max_attempts = max_attempts
        self._retention_s = retention_s

    def has_work(self) -> bool:
        """Whether anything is to be done: a job, a notification, or an expired job."""
        if not self._database.exists():
            return False
        with self._database.read() as connection:
            row = connection.execute(
                f"SELECT {_NEXT_JOB} IS NOT NULL OR EXISTS (SELECT 1 FROM jobs WHERE {_DUE})"
                " OR EXISTS (SELECT 1 FROM jobs WHERE expires_at < :now)",
                self._times(),
            ).fetchone()
        return bool(row[0])

    def claim(self) -> Lease | None:
        """The next job; see `JobLeases.claim`."""
        if not self._database.exists():
            return None
        times = self._times()
        with self._database.read() as connection:
            (seq,) = connection.execute(f"SELECT {_NEXT_JOB}", times).fetchone()
        if seq is None:
            return None
        self._fail_abandoned(times)
        token = secrets.token_hex(8)
        with self._database.write(to_disk=False) as connection:
            row = connection.execute(
                "UPDATE jobs SET state = 'running', lease = :token, lease_until = :lease_until,"
                " attempts = attempts + 1, started_at = coalesce(started_at, :now)"
                f" WHERE seq = {_NEXT_JOB} {RETURNING}",
                {**times, "token": token, "lease_until": times["now"] + self._lease_s},
            ).fetchone()
        return None if row is None else Lease(job_of(row), token)

    def input(self, lease: Lease) -> bytes:
        """The body of a job."""
        with self._database.read() as connection:
            row = connection.execute(
                "SELECT body FROM inputs WHERE job = ?", (lease.job.seq,)
            ).fetchone()
        if row is None:
            raise LeaseLost
        body: bytes = row[0]
        return body

    def begin(self, lease: Lease, pointer: bytes, n_rows: int, source: str) -> None:
        """Record the version, the number of rows and the file; see `JobLeases.begin`."""
        fields = "pointer = ?, n_rows = ?, source = ?"
        with self._database.write(to_disk=False) as connection:
            self._update(connection, lease, fields, pointer, n_rows, source)

    def renew(self, lease: Lease) -> None:
        """Keep a job; see `JobLeases.renew`."""
        with self._database.write(to_disk=False) as connection:
            self._update(connection, lease, "lease_until = ?", time.time() + self._lease_s)

    def write_chunk(self, lease: Lease, chunk: Chunk, index: int, rejected: int) -> None:
        """Keep the results of a chunk, once; see `JobLeases.write_chunk`."""
        lines = zlib.compress(chunk.lines, COMPRESSION_LEVEL)
        self._database.check_space(len(lines))
        with self._database.write(to_disk=False) as connection:
            job = self._update(
                connection,
                lease,
                "lease_until = ?, attempts = 0, rows_done = rows_done + ?, n_chunks = n_chunks + 1,"
                " rejected = rejected + ?",
                time.time() + self._lease_s, chunk.n_rows, rejected,
            )  # fmt: skip
            if job.n_chunks != index + 1:
                raise LeaseLost
            connection.execute(
                "INSERT INTO results VALUES (?, ?, ?, ?, ?)",
                (job.seq, index, chunk.first_row, chunk.n_rows, lines),
            )
            scored = {"rows_scored": chunk.n_rows - rejected, "rows_rejected": rejected}
            add_totals(connection, job.model, scored)

    def finish(self, lease: Lease) -> None:
        """End a job whose chunks are all written; on the disk when this returns."""
        with self._database.write() as connection:
            job = self._update(connection, lease, "attempts = 0")
            end(connection, job, "finished", self._retention_s)

    def fail(self, lease: Lease, fault: Fault) -> None:
        """End a job that cannot be scored; on the disk when this returns."""
        with self._database.write() as connection:
            job = self._update(connection, lease, "attempts = attempts")
            end(connection, job, "failed", self._retention_s, fault_detail(fault))

    def give_back(self, lease: Lease, delay_s: float, *, is_attempt: bool) -> None:
        """Let another worker take a job after a delay; see `JobLeases.give_back`."""
        fields = "state = 'queued', lease = '', ready_at = ?"
        if not is_attempt:
            fields += ", attempts = max(attempts - 1, 0)"
        ready_at = READY_NOW if delay_s <= 0 else time.time() + delay_s
        with self._database.write(to_disk=False) as connection:
            self._update(connection, lease, fields, ready_at)

    def expire(self) -> int:
        """Remove the jobs whose time has passed, one in each transaction."""
        n_removed = 0
        if not self._database.exists():
            return n_removed
        while True:
            with self._database.read() as connection:
                row = connection.execute(
                    "SELECT seq FROM jobs WHERE expires_at < ? LIMIT 1", (time.time(),)
                ).fetchone()
            if row is None:
                return n_removed
            with self._database.write(to_disk=False) as connection:
                connection.execute("DELETE FROM jobs WHERE seq = ?", row)
            n_removed += 1

    def due_callbacks(
        self, limit: int, *, per_origin: int, busy: Mapping[str, int]
    ) -> Sequence[Callback]:
        """Notifications that are due; see `JobLeases.due_callbacks`."""
        if not self._database.exists():
            return ()
        times = self._times()
        with self._database.read() as connection:
            if connection.execute(f"SELECT 1 FROM jobs WHERE {_DUE}", times).fetchone() is None:
                return ()
        fields = SELECT.replace(" FROM", ", callback_attempts, callback_at FROM")
        counted = (
            f"SELECT *, {_ORIGIN} AS origin, row_number() OVER (PARTITION BY {_ORIGIN}"
            f" ORDER BY callback_at) AS place FROM ({fields} WHERE {_DUE})"
        )
        values = {**times, "per_origin": per_origin, "busy": msgspec.json.encode(busy).decode()}
        with self._database.write(to_disk=False) as connection:
            found = connection.execute(
                f"SELECT * FROM ({counted}) LEFT JOIN json_each(:busy) ON key = origin"
                " WHERE place + coalesce(value, 0) <= :per_origin"
                " ORDER BY callback_at LIMIT :limit",
                {**values, "limit": limit},
            ).fetchall()
            rows = [(row[: len(COLUMNS)], *row[len(COLUMNS) : len(COLUMNS) + 3]) for row in found]
            connection.executemany(
                "UPDATE jobs SET callback_at = ? WHERE seq = ?",
                [(times["now"] + CALLBACK_LEASE_S, row[0]) for row, *_ in rows],
            )
        return [Callback(job_of(row), attempts, origin) for row, attempts, _, origin in rows]

    def end_callback(self, callback: Callback, *, is_delivered: bool) -> None:
        """Record an attempt; see `JobLeases.end_callback`."""
        n = callback.attempts
        state, pause_s = "waiting", 0.0
        if is_delivered:
            state = "delivered"
        elif n >= len(CALLBACK_PAUSES_S):
            state = "given_up"
        else:
            pause_s = CALLBACK_PAUSES_S[n]
        with self._database.write(to_disk=False) as connection:
            connection.execute(
                "UPDATE jobs SET callback_state = ?, callback_attempts = ?, callback_at = ?"
                " WHERE seq = ?",
                (state, n + 1, time.time() + pause_s, callback.job.seq),
            )

    def _update(
        self, connection: sqlite3.Connection, lease: Lease, fields: str, *values: object
    ) -> Job:
        """Change a job if the lease is still in force; returns it as it is then.

        Raises:
            LeaseLost: it is not.

        """
        row = connection.execute(
            f"UPDATE jobs SET {fields} WHERE seq = ? AND lease = ? AND state = 'running'"
            f" {RETURNING}",
            (*values, lease.job.seq, lease.token),
        ).fetchone()
        if row is None:
            raise LeaseLost
        return job_of(row)

    def _times(self) -> dict[str, float]:
        """The time, and the times from which on a stored one is of a clock that was set back."""
        now = time.time()
        return {
            "now": now,
            "too_late": now + MAX_READY_DELAY_S,
            "too_late_lease": now + 2 * self._lease_s,
            "too_late_callback": now + CALLBACK_LEASE_S + CALLBACK_PAUSES_S[-1],
        }

    def _fail_abandoned(self, times: Mapping[str, float]) -> None:
        """End the jobs that too many workers left without having written a chunk."""
        abandoned = f"{_LEASE_OVER} AND attempts >= :max_attempts"
        limits = {**times, "max_attempts": self._max_attempts}
        with self._database.read() as connection:
            row = connection.execute(f"SELECT 1 FROM jobs WHERE {abandoned}", limits).fetchone()
        if row is None:
            return
        with self._database.write() as connection:
            for row in connection.execute(f"{SELECT} WHERE {abandoned}", limits).fetchall():
                job = job_of(row)
                fault = Fault(
                    "prediction_failed",
                    f"{job.attempts} workers ended, one after the other, while they scored the "
                    f"rows from {job.rows_done} on",
                )
                end(connection, job, "failed", self._retention_s, fault_detail(fault))
