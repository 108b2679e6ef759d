"""What a run does if an argument is wrong or a folder, a receiver or a library fails."""

from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from contracts.errors import NotFoundHere, NotRegistered, PlatformError, Unwritable
from monitoring.monitor import run
from slipway.app import app
from tests.conftest import Workplace
from tests.monitoring.alerting.receiver import Receiver
from tests.monitoring.monitor.scenario import END, SETTINGS, START, judge, served_rows, write

# Evidently and what it imports warn of their own age while they are imported.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def test_a_segment_feature_that_is_not_categorical_is_refused_before_anything_is_read(
    served: Workplace,
) -> None:
    done = CliRunner().invoke(app, ["monitor", "tiny", "--segment", "age"])

    assert isinstance(done.exception, NotFoundHere)
    assert "expected a category feature of 'tiny' version 1, got 'age'" in str(done.exception)
    assert done.exception.remedy == "one of region, owner, work"
    assert not served.layout.verdicts.is_dir()


def test_a_version_that_does_not_exist_is_an_error(served: Workplace) -> None:
    with pytest.raises(NotRegistered, match="expected one of its versions"):
        judge(served, version=9)
    with pytest.raises(NotRegistered, match="expected one of tiny, got 'tny'"):
        run(
            served.store,
            served.layout,
            "tny",
            start=START,
            end=END,
            settings=SETTINGS,
            now=END,
        )


def test_a_folder_that_cannot_be_written_is_an_error(served: Workplace) -> None:
    served.layout.reports.write_text("a file where a folder should be")
    with pytest.raises(Unwritable, match="expected a writable path"):
        judge(served)


def test_a_store_that_takes_no_artifact_loses_no_verdict(served: Workplace) -> None:
    runs = served.root / "mlruns"
    runs.rename(served.root / "elsewhere")
    runs.write_text("a file where a folder should be")
    try:
        with pytest.raises(PlatformError, match="expected to log"):
            judge(served)
    finally:
        runs.unlink()
        (served.root / "elsewhere").rename(runs)

    assert len(list((served.layout.verdicts / "tiny").glob("*.json"))) == 1


@pytest.mark.usefixtures("without_evidently")
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_an_alert_is_sent_once_though_the_first_try_is_cut_short(
    served: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdict cannot be stored, then the receiver is broken, then all is well."""
    receiver = Receiver()
    monkeypatch.setenv("SLIPWAY_MONITORING_NOTIFY", receiver.url)
    rows = served_rows(served, 600, 7)
    write(served, [msgspec.structs.replace(r, features=r.features | {"age": 85.0}) for r in rows])
    arguments = ["monitor", "tiny", "--start", START.isoformat(), "--end", END.isoformat()]
    served.layout.verdicts.write_text("not a folder")

    assert isinstance(CliRunner().invoke(app, arguments).exception, Unwritable)
    assert receiver.titles == []

    served.layout.verdicts.unlink()
    receiver.status = 500
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0
    assert "not delivered yet: tiny version 1: quality (" in done.stderr
    assert "error=500" in done.stderr

    receiver.status = 200
    for _ in range(2):
        assert "not delivered" not in CliRunner().invoke(app, arguments).stderr
    assert receiver.titles == ["tiny version 1: quality"] * 2, "the broken receiver, and the whole"
    receiver.close()


def test_what_evidently_cannot_draw_is_judged_all_the_same(
    served: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:

    def fail(*_: object) -> str:
        raise RuntimeError("no picture")

    from monitoring.reporting import evidently

    monkeypatch.setattr(evidently, "evidently_html", fail)
    write(served, served_rows(served, 300, 5))
    verdict = judge(served)

    assert verdict.decision == "stable"
    assert "no picture" in Path(verdict.report).read_text()
