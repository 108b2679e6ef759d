"""What every test shares: no telemetry, stores of its own, no verdict on a machine's speed."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from contracts.names import Layout
from registry.settings import RegistrySettings
from registry.store import Store

os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", BENTOML_DO_NOT_TRACK="True", DO_NOT_TRACK="1")
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# MLflow's server would start seven job runners, which busily wait and outlive a killed server.
os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
# BentoML reads its home once, when it is imported.
os.environ["BENTOML_HOME"] = tempfile.mkdtemp(prefix="slipway-bentoml-")
os.environ.pop("MLFLOW_TRACKING_URI", None)

# Machines that run tests are shared and slow at times; a claim here never is about speed.
settings.register_profile(
    "claims",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("claims")


@dataclass(frozen=True)
class Workplace:
    """A folder with an MLflow store and a `var/` of its own; the current one in a test."""

    root: Path
    store: Store
    layout: Layout


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    # A command that a test runs in this process would ask the store of the test before it.
    forget_the_last_store()


@contextmanager
def working_in(root: Path) -> Iterator[Workplace]:
    """The folder as the current one, and its `mlflow.db` as MLflow's store."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        forget_the_last_store()
        yield Workplace(root, Store.open(RegistrySettings()), Layout(root / "var"))
    forget_the_last_store()


def forget_the_last_store() -> None:
    """MLflow puts the store that was used last into the environment, for processes it starts."""
    os.environ.pop("MLFLOW_TRACKING_URI", None)


def pytest_sessionfinish() -> None:
    shutil.rmtree(os.environ["BENTOML_HOME"], ignore_errors=True)


@pytest.fixture(scope="session")
def fresh_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database: making its tables takes seconds, so it is made once."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    uri = f"sqlite:///{path}"
    MlflowClient(tracking_uri=uri, registry_uri=uri).search_experiments()
    return path


@pytest.fixture
def workplace(fresh_database: Path, tmp_path: Path) -> Iterator[Workplace]:
    shutil.copy(fresh_database, tmp_path / "mlflow.db")
    with working_in(tmp_path) as place:
        yield place
