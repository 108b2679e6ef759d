"""A workplace with a day of work, shared by the tests of the operations page."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from monitoring.reporting import evidently
from tests.conftest import Workplace, working_in
from tests.monitoring.operations import scenario


@dataclass(frozen=True)
class BusyPlace:
    """The workplace and the end of its day."""

    workplace: Workplace
    now: datetime


@pytest.fixture(scope="package")
def busy(fresh_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusyPlace]:
    root = tmp_path_factory.mktemp("busy")
    shutil.copy(fresh_database, root / "mlflow.db")
    with working_in(root) as workplace, pytest.MonkeyPatch.context() as patch:
        # Evidently takes seconds to draw, and its page is not what these tests are about.
        patch.setattr(evidently, "evidently_html", lambda *_: "<html></html>")
        now = datetime.now(UTC)
        scenario.fill(workplace, now)
        yield BusyPlace(workplace, now)
