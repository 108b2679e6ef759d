"""The pointer watcher: only a positive statement unloads a model, and no error ends it."""

import asyncio
import errno
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from contracts.files import write_whole
from contracts.names import Layout
from services.inference.loader import load_model
from services.inference.model_source import ModelSource
from services.metrics import Metrics
from services.serving import repository as repository_module
from services.serving import watcher as watcher_module
from services.serving.repository import ModelRepository
from services.serving.watcher import PointerWatcher
from services.settings import ServiceSettings

ALL = {"tiny", "tiny3", "tinypair", "tinyvalue"}


@dataclass(frozen=True)
class Worker:
    """A repository with every model, and its watcher."""

    var: Path
    repository: ModelRepository
    watcher: PointerWatcher

    @property
    def models(self) -> Path:
        return self.var / "models"


@pytest.fixture
def run_with(
    models: Path, metrics: Metrics, tmp_path: Path
) -> Callable[[Callable[[Worker], Awaitable[None]]], None]:
    """Runs a story with a worker that has loaded every model and polled once."""

    def run(story: Callable[[Worker], Awaitable[None]]) -> None:
        var = tmp_path / "var"
        shutil.copytree(models, var)

        async def play() -> None:
            settings = ServiceSettings(var=var, keys="off")
            source = ModelSource(Layout(var))
            repository = ModelRepository(settings, metrics)
            for pointer in source.pointers():
                repository.load(load_model(source.directory(pointer), pointer))
            worker = Worker(var, repository, PointerWatcher(repository, source, settings))
            await worker.watcher.poll()
            try:
                await story(worker)
            finally:
                await repository.close()

        asyncio.run(play())

    return run


RunWith = Callable[[Callable[[Worker], Awaitable[None]]], None]


def errors() -> float:
    return REGISTRY.get_sample_value("slipway_pointer_errors_total") or 0.0


async def polls(worker: Worker, n_polls: int) -> None:
    for _ in range(n_polls):
        await worker.watcher.poll()


@pytest.mark.parametrize("loss", ["missing", "empty", "no folder", "one model"])
def test_a_folder_that_is_away_unloads_nothing(run_with: RunWith, loss: str) -> None:
    """Unmounted, moved or forbidden: it says nothing about what is in production."""

    async def story(worker: Worker) -> None:
        away = worker.var / "away"
        lost = worker.models / "tiny" if loss == "one model" else worker.models
        lost.rename(away)
        if loss == "empty":
            lost.mkdir()
        elif loss == "no folder":
            lost.touch()
        for _ in range(3):
            with pytest.raises(OSError, match=r"expected a readable folder for|Errno"):
                await worker.watcher.poll()
        assert set(worker.repository.models) == ALL
        if loss == "empty":
            lost.rmdir()
        elif loss == "no folder":
            lost.unlink()
        away.rename(lost)
        await polls(worker, 3)
        assert set(worker.repository.models) == ALL

    run_with(story)


def test_a_pointer_must_be_absent_in_two_polls(run_with: RunWith) -> None:
    async def story(worker: Worker) -> None:
        pointer = worker.models / "tiny" / "production.json"
        text = pointer.read_bytes()
        pointer.unlink()
        await worker.watcher.poll()
        assert set(worker.repository.models) == ALL
        write_whole(pointer, text)
        await worker.watcher.poll()
        pointer.unlink()
        await worker.watcher.poll()
        assert set(worker.repository.models) == ALL, "the two absences were not successive"
        await worker.watcher.poll()
        assert set(worker.repository.models) == ALL - {"tiny"}

    run_with(story)


def test_an_unreadable_pointer_stops_no_other_model(run_with: RunWith) -> None:
    async def story(worker: Worker) -> None:
        path = worker.models / "tiny" / "production.json"
        good, before = path.read_bytes(), refusals()
        path.write_text("nonsense")
        (worker.models / "tiny3" / "production.json").unlink()
        await polls(worker, 2)
        assert set(worker.repository.models) == ALL - {"tiny3"}
        (failure,) = worker.repository.failures.listing()
        assert (failure.name, failure.version) == ("tiny", None)
        assert "production.json" in failure.reason
        assert refusals() == before + 1
        write_whole(path, good)
        await worker.watcher.poll()
        assert worker.repository.failures.listing() == []

    run_with(story)


def test_a_version_whose_files_could_not_be_read_at_the_start_is_tried_again(
    models: Path, metrics: Metrics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unlike one that is corrupt, it may be readable though its files have not changed."""
    var = tmp_path / "var"
    shutil.copytree(models, var)
    settings = ServiceSettings(var=var, keys="off")
    source = ModelSource(Layout(var))

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    async def play() -> None:
        repository = ModelRepository(settings, metrics)
        with monkeypatch.context() as patch:
            patch.setattr(repository_module, "load_model", fail)
            repository.load_all(source)
        assert {failure.name for failure in repository.failures.listing()} == ALL
        await PointerWatcher(repository, source, settings).poll()
        assert set(repository.models) == ALL
        assert repository.failures.listing() == []
        await repository.close()

    asyncio.run(play())


def test_a_version_that_fails_to_load_is_listed_until_another_is_in_force(
    run_with: RunWith,
) -> None:
    """A pointer to a version that is not there, then to one that is."""

    async def story(worker: Worker) -> None:
        failures = worker.repository.failures
        path = worker.models / "tiny" / "production.json"
        good = path.read_bytes()
        digest = worker.repository.model("tiny").served.pointer.digest.encode()
        other = good.replace(b'"version": 1', b'"version": 9').replace(digest, b"0" * 64)
        write_whole(path, other)
        await worker.watcher.poll()
        (failure,) = failures.listing()
        assert (failure.name, failure.version, failure.variant) == ("tiny", 9, "production")
        assert "tiny/9" in failure.reason
        assert worker.repository.model("tiny").served.pointer.version == 1
        before = refusals()
        await polls(worker, 3)
        assert refusals() == before, "the same files are tried once"
        write_whole(path, good)
        await worker.watcher.poll()
        assert failures.listing() == []

    run_with(story)


def refusals() -> float:
    return REGISTRY.get_sample_value("slipway_versions_refused_total", {"model": "tiny"}) or 0.0


def test_no_error_ends_the_watcher(
    run_with: RunWith, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each is counted; one that repeats is logged once."""
    monkeypatch.setattr(watcher_module, "POLL_INTERVAL_S", 0.01)

    async def story(worker: Worker) -> None:
        before = errors()
        poll = worker.watcher.poll

        async def fail() -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr(worker.watcher, "poll", fail)
        task = asyncio.create_task(worker.watcher.run())
        while errors() < before + 3:  # noqa: ASYNC110 - the counter is what is tested
            await asyncio.sleep(0.01)
        monkeypatch.setattr(worker.watcher, "poll", poll)
        pointer = worker.models / "tiny" / "production.json"
        pointer.unlink()
        while "tiny" in worker.repository.models:
            assert not task.done()
            await asyncio.sleep(0.01)
        worker.repository.drain()
        await task

    run_with(story)
    assert [r.getMessage() for r in caplog.records if "a bug" in r.getMessage()] == [
        "pointers: RuntimeError('a bug'); serving the loaded versions"
    ]
