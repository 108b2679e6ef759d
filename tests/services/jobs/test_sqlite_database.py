"""The database file keeps what was accepted, whatever opens, closes, removes or damages it."""

import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from contracts.sqlite_file import damage_of
from services.faults import Fault
from services.jobs.sqlite_database import JobDatabase
from services.jobs.sqlite_leases import SqliteLeases
from services.jobs.sqlite_store import SqliteAcceptance
from services.jobs.store import LeaseLost
from tests.services.jobs.stores import chunk, claimed, new_job


@pytest.fixture
def database(tmp_path: Path) -> JobDatabase:
    return JobDatabase(tmp_path / "jobs" / "jobs.db", busy_timeout_s=0.2)


@pytest.fixture
def store(database: JobDatabase) -> SqliteAcceptance:
    return SqliteAcceptance(database, retention_s=60)


@pytest.fixture
def leases(database: JobDatabase) -> SqliteLeases:
    return SqliteLeases(database, lease_s=0.2, max_attempts=3, retention_s=60)


def test_another_process_that_closes_the_file_takes_no_log_away(
    store: SqliteAcceptance, database: JobDatabase
) -> None:
    """A second thread opens the database here, and then another process opens and closes it."""
    store.accept(new_job("a"), 9)
    thread = threading.Thread(target=store.find, args=("", "a"))
    thread.start()
    thread.join()
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('SELECT * FROM jobs')"
    subprocess.run([sys.executable, "-c", code, database.path], check=True)

    assert database.path.with_name("jobs.db-wal").exists()
    store.accept(new_job("b"), 9)
    with closing(sqlite3.connect(database.path)) as connection:
        assert connection.execute("SELECT count(*) FROM jobs").fetchone() == (2,)


def test_the_file_is_for_its_owner_and_group(
    store: SqliteAcceptance, database: JobDatabase
) -> None:
    store.accept(new_job(), 9)

    assert database.path.stat().st_mode & 0o777 == 0o640 & ~umask()


def umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_file_that_was_removed_is_made_again_before_the_next_job(
    store: SqliteAcceptance, database: JobDatabase
) -> None:
    store.accept(new_job("a"), 9)
    for path in database.path.parent.iterdir():
        path.unlink()
    store.accept(new_job("b"), 9)

    assert damage_of(database.path) == ""
    with closing(sqlite3.connect(database.path)) as connection:
        assert connection.execute("SELECT id FROM jobs").fetchall() == [("b",)]


@pytest.mark.parametrize("damage", ["text", "cut"])
def test_a_damaged_file_is_an_error_that_says_what_to_do(
    store: SqliteAcceptance, database: JobDatabase, damage: str
) -> None:
    store.accept(new_job(body=b"x" * 100_000), 9)
    database.close()
    data = database.path.read_bytes()
    database.path.write_bytes(b"no database" * 1000 if damage == "text" else data[: len(data) // 3])
    with pytest.raises(Fault, match="damaged; slipway doctor") as caught:
        store.accept(new_job("b", body=b"x" * 100_000), 9)

    assert caught.value.code == "jobs_unavailable"
    assert damage_of(database.path)


def test_a_full_disk_is_an_error_and_changes_nothing(
    store: SqliteAcceptance, database: JobDatabase
) -> None:
    store.accept(new_job("a"), 9)
    with database.read() as connection:
        (n_pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {n_pages}")
    with pytest.raises(Fault, match="disk of the job database is full"):
        store.accept(new_job("b", body=bytes(1_000_000)), 9)

    assert store.find("", "a").state == "queued"
    with pytest.raises(Fault, match="no such job"):
        store.find("", "b")


def test_a_newer_database_is_left_alone(store: SqliteAcceptance, database: JobDatabase) -> None:
    store.accept(new_job(), 9)
    with closing(sqlite3.connect(database.path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    database.close()

    with pytest.raises(Fault, match="newer version of Slipway"):
        store.find("", "a")


def test_two_workers_never_get_the_same_job(store: SqliteAcceptance, leases: SqliteLeases) -> None:
    for index in range(40):
        store.accept(new_job(str(index)), 99)
    taken: list[str] = []

    def take() -> None:
        own = SqliteLeases(JobDatabase(leases._database.path), 60, 3, 60)
        while (lease := own.claim()) is not None:
            taken.append(lease.job.id)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(taken, key=int) == [str(index) for index in range(40)]


def test_a_worker_that_lost_its_lease_writes_nothing(
    store: SqliteAcceptance, leases: SqliteLeases
) -> None:
    store.accept(new_job(), 9)
    slow = claimed(leases)
    leases.write_chunk(slow, chunk(0), 0, 0)
    time.sleep(0.3)
    fast = claimed(leases)
    writes: list[Callable[[], None]] = [
        lambda: leases.write_chunk(slow, chunk(2), 1, 0),
        lambda: leases.finish(slow),
        lambda: leases.fail(slow, Fault("internal_error")),
        lambda: leases.give_back(slow, 0, is_attempt=True),
        lambda: leases.renew(slow),
    ]
    for write in writes:
        with pytest.raises(LeaseLost):
            write()
    leases.write_chunk(fast, chunk(2), 1, 1)
    with pytest.raises(LeaseLost):
        leases.write_chunk(fast, chunk(2), 1, 1)
    leases.finish(fast)
    done = store.find("", "a")

    assert (done.state, done.rows_done, done.n_chunks, done.rejected) == ("finished", 4, 2, 1)
    assert [each.first_row for each in store.chunks(done, 0, 9)] == [0, 2]
    figures = store.figures()
    assert [(each.state, each.n) for each in figures.ended] == [("finished", 1)]
    assert {each.state: each.n for each in figures.rows} == {"rows_scored": 3, "rows_rejected": 1}


def test_a_job_that_ends_its_workers_has_failed_with_its_cause(
    store: SqliteAcceptance, leases: SqliteLeases
) -> None:
    store.accept(new_job("poison"), 9)
    store.accept(new_job("next"), 9)
    for _ in range(3):
        assert claimed(leases).job.id == "poison"
        time.sleep(0.25)
    assert claimed(leases).job.id == "next"
    failed = store.find("", "poison")

    assert failed.state == "failed"
    assert failed.error is not None
    assert failed.error.message.startswith("3 workers ended, one after the other")


def test_a_job_given_back_is_no_attempt_and_comes_first_again(
    store: SqliteAcceptance, leases: SqliteLeases
) -> None:
    store.accept(new_job("first"), 9)
    store.accept(new_job("second"), 9)
    for _ in range(5):
        lease = claimed(leases)
        assert (lease.job.id, lease.job.attempts) == ("first", 1)
        leases.give_back(lease, 0, is_attempt=False)
    leases.give_back(claimed(leases), 60, is_attempt=True)

    assert claimed(leases).job.id == "second"


def test_a_job_expires_with_its_results(store: SqliteAcceptance, database: JobDatabase) -> None:
    leases = SqliteLeases(database, lease_s=9, max_attempts=3, retention_s=0.1)
    store.accept(new_job(), 9)
    lease = claimed(leases)
    leases.write_chunk(lease, chunk(0), 0, 0)
    leases.finish(lease)
    time.sleep(0.2)

    assert leases.expire() == 1
    with database.read() as connection:
        found = connection.execute(
            "SELECT (SELECT count(*) FROM jobs), (SELECT count(*) FROM inputs),"
            " (SELECT count(*) FROM results)"
        ).fetchone()
    assert found == (0, 0, 0)


def test_a_clock_that_is_set_back_hides_no_job(
    store: SqliteAcceptance, leases: SqliteLeases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one that waits, that a killed worker had, or that was given back for later."""
    real = time.time
    for name in ("waits", "leased", "given back"):
        store.accept(new_job(name), 9)
    for delay_s in (None, 30.0, None):
        lease = claimed(leases)
        if delay_s is not None:
            leases.give_back(lease, delay_s, is_attempt=True)
    assert leases.claim() is None
    store.accept(new_job("fourth"), 9)
    monkeypatch.setattr(time, "time", lambda: real() - 86_400)

    found = {claimed(leases).job.id for _ in range(4)}
    assert found == {"waits", "leased", "given back", "fourth"}
    assert leases.claim() is None
    assert store.figures().oldest_s == 0


def test_a_job_that_was_given_back_does_not_wait_behind_new_ones(
    store: SqliteAcceptance, leases: SqliteLeases, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    store.accept(new_job("given back"), 9)
    leases.give_back(claimed(leases), 1.0, is_attempt=True)
    store.accept(new_job("new"), 9)
    monkeypatch.setattr(time, "time", lambda: real() + 2)

    assert [claimed(leases).job.id for _ in range(2)] == ["given back", "new"]


def test_jobs_leave_room_on_the_disk(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    folder = tmp_path / "jobs"
    small = JobDatabase(folder / "jobs.db", min_free_bytes=free // 2)
    store = SqliteAcceptance(small, retention_s=60)
    accepted = store.accept(new_job(), 9)
    full = JobDatabase(folder / "jobs.db", min_free_bytes=2 * free)
    with pytest.raises(Fault) as refused:
        SqliteAcceptance(full, retention_s=60).accept(new_job("b"), 9)
    assert (refused.value.code, refused.value.retry_after_s) == ("jobs_unavailable", 60)
    assert "nearly full" in refused.value.message
    leases = SqliteLeases(full, lease_s=9, max_attempts=3, retention_s=60)
    lease = claimed(leases)
    with pytest.raises(Fault, match="nearly full"):
        leases.write_chunk(lease, chunk(0), 0, 0)

    assert store.find("", "a").rows_done == accepted.rows_done == 0
    assert [job.id for job in store.list_open("", 0, 9).jobs] == ["a"]
