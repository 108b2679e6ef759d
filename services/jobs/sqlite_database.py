"""The SQLite file of the jobs: its tables, a connection per thread, transactions, errors.

Write-ahead logging: readers never wait, and one process writes at a time. A commit with
`synchronous=FULL` is on the disk when it returns (https://www.sqlite.org/pragma.html#pragma_synchronous),
so what was accepted survives a kill and a power failure. WAL needs a local disk: several machines
share their jobs through Redis, not through a network folder.
"""

import logging
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from contracts.files import FILE_MODE, flush, make_folder
from services.faults import Fault

BUSY_TIMEOUT_S = 5.0
"""How long a transaction waits for another process that writes."""
RETRY_FULL_S = 60
"""When to try again where the disk is nearly full: somebody must free it."""
LOG_INTERVAL_S = 60.0
"""How often an error that lasts is logged."""
SCHEMA_VERSION = 1
"""Stored as `user_version`; a newer database is refused, an older one is migrated when opened."""
TABLES = """
CREATE TABLE jobs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    owner TEXT NOT NULL,
    id TEXT NOT NULL,
    model TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'finished', 'failed', 'cancelled')),
    kind TEXT NOT NULL,
    digest TEXT NOT NULL,
    created_at REAL NOT NULL,
    ready_at REAL NOT NULL,
    started_at REAL,
    ended_at REAL,
    expires_at REAL,
    lease TEXT NOT NULL DEFAULT '',
    lease_until REAL NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    pointer BLOB NOT NULL DEFAULT x'',
    source TEXT NOT NULL DEFAULT '',
    n_rows INTEGER,
    rows_done INTEGER NOT NULL DEFAULT 0,
    n_chunks INTEGER NOT NULL DEFAULT 0,
    rejected INTEGER NOT NULL DEFAULT 0,
    error BLOB NOT NULL DEFAULT x'',
    callback TEXT NOT NULL DEFAULT '',
    callback_state TEXT NOT NULL DEFAULT 'none',
    callback_attempts INTEGER NOT NULL DEFAULT 0,
    callback_at REAL NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX jobs_by_id ON jobs (owner, id);
CREATE INDEX jobs_open ON jobs (owner, seq) WHERE state IN ('queued', 'running');
CREATE INDEX jobs_queued ON jobs (ready_at, seq) WHERE state = 'queued';
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE state = 'running';
CREATE INDEX jobs_by_state ON jobs (state, model) WHERE state IN ('queued', 'running');
CREATE INDEX jobs_expiring ON jobs (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX jobs_to_notify ON jobs (callback_at)
    WHERE callback_state = 'waiting' AND ended_at IS NOT NULL;
CREATE TABLE inputs (
    job INTEGER PRIMARY KEY REFERENCES jobs (seq) ON DELETE CASCADE,
    body BLOB NOT NULL
) STRICT;
CREATE TABLE results (
    job INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
    chunk INTEGER NOT NULL,
    first_row INTEGER NOT NULL,
    n_rows INTEGER NOT NULL,
    lines BLOB NOT NULL,
    PRIMARY KEY (job, chunk)
) STRICT;
CREATE INDEX results_by_row ON results (job, first_row);
CREATE TABLE totals (
    model TEXT NOT NULL,
    outcome TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (model, outcome)
) STRICT;
"""
REASONS = (
    ("locked", "another process holds the job database; nothing was changed"),
    ("full", "the disk of the job database is full; nothing was changed"),
    ("not a database", "the job database is damaged; slipway doctor says what to do"),
    ("malformed", "the job database is damaged; slipway doctor says what to do"),
    ("no such", "the job database is damaged; slipway doctor says what to do"),
    ("readonly", "the job database cannot be written; nothing was changed"),
    ("unable to open", "the job database cannot be opened; nothing was changed"),
)
"""By a part of SQLite's message, what a client reads; the log has the whole message."""

_CREATING = threading.Lock()
"""Held while a thread makes the file or opens it: see `JobDatabase._create`."""

logger = logging.getLogger("bentoml.slipway")


class JobDatabase:
    """The database file, opened in each thread when it is first used there.

    `min_free_bytes`: what jobs leave of the disk, which is the traffic log's as well; 0: nothing.

    A file that was removed or replaced is noticed before the next transaction: what is written
    to a removed file is lost.
    """

    def __init__(
        self, path: Path, busy_timeout_s: float = BUSY_TIMEOUT_S, *, min_free_bytes: int = 0
    ) -> None:
        self.path = path
        self._min_free_bytes = min_free_bytes
        self._busy_timeout_s = busy_timeout_s
        self._local = threading.local()
        self._logged_text = ""
        self._logged_at = 0.0

    def exists(self) -> bool:
        """Whether there is a database; reading one that is not there makes it."""
        return self.path.exists()

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """A connection to read from.

        Raises:
            Fault: `jobs_unavailable`.

        """
        with self._as_fault():
            yield self._connection()

    @contextmanager
    def write(self, *, to_disk: bool = True) -> Iterator[sqlite3.Connection]:
        """A transaction: committed at the end of the block, undone by an exception.

        With `to_disk` it survives a power failure. Without, a power failure may undo the last
        transactions, but none in the middle; a killed process loses nothing.

        Raises:
            Fault: `jobs_unavailable`; nothing was changed.

        """
        with self._as_fault():
            connection = self._connection()
            connection.execute(f"PRAGMA synchronous = {'FULL' if to_disk else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # an error may have ended it already
                    connection.execute("ROLLBACK")
                raise

    def check_space(self, n_bytes: int) -> None:
        """Refuse to write what would leave less than `min_free_bytes` of the disk.

        Raises:
            Fault: `jobs_unavailable`.

        """
        folder = self.path.parent
        with self._as_fault():
            while not folder.exists():
                folder = folder.parent
            free = shutil.disk_usage(folder).free
        if self._min_free_bytes and free - n_bytes < self._min_free_bytes:
            message = "the disk of the job database is nearly full; nothing was changed"
            self._log(f"expected {self._min_free_bytes} bytes free, got {free - n_bytes}")
            raise Fault("jobs_unavailable", message, retry_after_s=RETRY_FULL_S)

    def close(self) -> None:
        """Close the connection of this thread."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is not None and self._local.identity == _identity(self.path):
            return connection
        self.close()
        connection = self._open()
        self._local.connection = connection
        self._local.identity = _identity(self.path)
        return connection

    def _open(self) -> sqlite3.Connection:
        make_folder(self.path.parent)
        is_new = self._create()
        with _CREATING:
            connection = sqlite3.connect(
                self.path, timeout=self._busy_timeout_s, isolation_level=None
            )
        try:
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA journal_mode = WAL")
            _prepare(connection, self.path)
        except BaseException:
            connection.close()
            raise
        if is_new:
            flush(self.path.parent)
        return connection

    @contextmanager
    def _as_fault(self) -> Iterator[None]:
        """Turn what SQLite and the system raise into `jobs_unavailable`; log it once a minute."""
        try:
            yield
        except (sqlite3.Error, OSError) as err:
            text = str(err)
            self._log(text)
            known = (meaning for part, meaning in REASONS if part in text)
            raise Fault("jobs_unavailable", next(known, "")) from err

    def _log(self, text: str) -> None:
        """Log why a transaction is refused; the same reason once a minute."""
        now = time.monotonic()
        if text != self._logged_text or now - self._logged_at >= LOG_INTERVAL_S:
            self._logged_text, self._logged_at = text, now
            logger.error("%s: %s", self.path, text)

    def _create(self) -> bool:
        """Make an empty file if there is none, with our mode; whether it was made.

        A file that exists is never opened but by SQLite: POSIX drops all locks that a process has
        on a file when it closes any descriptor of it. Another process would then take itself for
        the last user, and remove the write-ahead log
        (https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_).
        """
        with _CREATING:
            try:
                descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, FILE_MODE)
            except FileExistsError:
                return False
            os.close(descriptor)
            return True


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables of a new database, and check the version of an old one."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version == SCHEMA_VERSION:
        return
    if version > SCHEMA_VERSION:
        logger.error(
            "%s: expected schema version up to %d, got %d; upgrade this installation",
            path, SCHEMA_VERSION, version,
        )  # fmt: skip
        raise Fault("jobs_unavailable", "the job database is of a newer version of Slipway")
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:  # no other process was faster
            for statement in TABLES.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
