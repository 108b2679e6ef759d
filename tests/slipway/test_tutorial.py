"""A newcomer's walk, in an empty HOME: the tutorial, then the how-to pages that go on there."""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.settings import Secret
from monitoring.alerting.notify import addresses_of
from tests.slipway.conftest import BIN, copy_of_the_project, free_port
from tests.slipway.shown_commands import Ran, Walk, is_shown
from tests.slipway.warm_slipway import warm_slipway

ROOT = Path(__file__).parents[2]
TUTORIAL = (ROOT / "docs" / "tutorial.md").read_text()
HOW_TO = ROOT / "docs" / "how-to"
ELSEWHERE = {
    "make setup": ".ci/run does it in a fresh clone",
    "source .venv/bin/activate": "the tests run in that environment already",
    "rm -r data var mlflow.db mlruns/* training/recipes/delivery.py": "the how-to pages go on here",
}


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    root = copy_of_the_project(tmp_path_factory.mktemp("newcomer"))
    environ = {
        "HOME": str(tmp_path_factory.mktemp("home")),
        "PATH": f"{BIN}{os.pathsep}{os.defpath}",
        "PYTHONPATH": str(root),
        "LANG": "C.UTF-8",
        "COLUMNS": "100",
        "USER": "you",
        # Two cores are shared by several test processes: threads would wait busily.
        "OMP_NUM_THREADS": "1",
        "SLIPWAY_MONITORING_SAMPLE_ROWS": "500",
    }
    scratch = tmp_path_factory.mktemp("scratch")
    with (
        warm_slipway(root, environ, tmp_path_factory.mktemp("warm")) as warm,
        Walk(root, warm, scratch, free_port()) as newcomer,
    ):
        yield newcomer


@pytest.fixture(scope="module")
def tutorial(walk: Walk) -> list[Ran]:
    return walk.follow(TUTORIAL, ELSEWHERE)


@pytest.mark.slow
def test_every_command_of_the_tutorial_succeeds(tutorial: list[Ran]) -> None:
    failed = [ran for ran in tutorial if any(ran.exit_codes)]

    assert not failed, "\n".join(f"{ran.commands}\n{ran.output}" for ran in failed)


@pytest.mark.slow
def test_the_tutorial_prints_what_the_commands_print(tutorial: list[Ran]) -> None:
    stale = [ran for ran in tutorial if ran.shown and not is_shown(ran.shown, ran.output)]

    assert not stale, "\n\n".join(
        f"{ran.commands}\nthe page:\n{ran.shown}\nreally:\n{ran.output}" for ran in stale
    )


# In the order of the file: each goes on where the previous one has left the model.


def follow(walk: Walk, page: str) -> str:
    """Run the commands of a how-to page, or of a part of one; returns all that they printed."""
    ran = walk.follow(page)
    assert ran

    failed = [each for each in ran if any(each.exit_codes)]
    assert not failed, "\n".join(f"{each.commands}\n{each.output}" for each in failed)
    return "".join(each.output for each in ran)


@pytest.mark.slow
@pytest.mark.usefixtures("tutorial")
def test_a_retraining_is_rolled_back(walk: Walk) -> None:
    assert walk.shell.run("slipway rollback delivery --to 3 --because again")[0] == 0

    printed = follow(walk, (HOW_TO / "roll-back.md").read_text())

    # Version 2 was promoted by the same retraining as version 3, to be examined.
    assert "rolled back to version 1 (before: version 3)" in printed


@pytest.mark.slow
@pytest.mark.usefixtures("tutorial")
def test_a_canary_begins_and_is_stopped(walk: Walk) -> None:
    printed = follow(walk, (HOW_TO / "canary.md").read_text())

    assert "canary 1,10,50 each 500" in printed


@pytest.mark.slow
@pytest.mark.usefixtures("tutorial")
def test_labels_come_from_a_file_of_a_warehouse(walk: Walk) -> None:
    shutil.copy(walk.root / "data" / "week-1.csv", walk.root / "truth.csv")

    assert "1,500 labels" in follow(walk, (HOW_TO / "labels-from-a-warehouse.md").read_text())


@pytest.mark.slow
@pytest.mark.usefixtures("tutorial")
def test_the_models_of_a_service_are_listed(walk: Walk) -> None:
    assert '"name":"delivery"' in follow(walk, (HOW_TO / "many-models.md").read_text())


@pytest.mark.slow
@pytest.mark.usefixtures("tutorial")
def test_what_was_backed_up_is_restored_after_a_loss(walk: Walk) -> None:
    """With its history, its traffic and a version that is verified before it is served."""
    saving, restoring = (HOW_TO / "back-up-and-restore.md").read_text().split("## Restore")
    walk.stop_servers()
    follow(walk, saving)
    history = walk.shell.run("slipway history delivery --json")
    traffic = sorted(path.name for path in (walk.root / "var" / "traffic").rglob("*.jsonl"))
    shutil.rmtree(walk.root / "var")
    shutil.rmtree(walk.root / "mlruns" / "1")
    (walk.root / "mlflow.db").unlink()

    follow(walk, restoring)

    assert walk.shell.run("slipway history delivery --json") == history
    assert traffic
    assert sorted(path.name for path in (walk.root / "var").rglob("*.jsonl")) >= traffic
    assert (walk.root / "var" / "models" / "delivery" / "production.json").is_file()


@pytest.mark.slow
@pytest.mark.usefixtures("tutorial")
def test_a_deleted_model_leaves_nothing(walk: Walk) -> None:
    walk.stop_servers()
    follow(walk, (HOW_TO / "delete-a-model.md").read_text())

    assert walk.shell.run("slipway versions --json") == (0, "[]\n")
    left = [path for path in (walk.root / "var").rglob("*") if "delivery" in path.name]
    assert all(path.suffix == ".lock" for path in left), left


# apprise 2.2 asks, as it is imported, whether this Python still has imghdr; 3.13 has not.
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_the_address_in_the_page_on_mail_can_be_parsed() -> None:
    address = re.search(r'NOTIFY="(\S+)"', (HOW_TO / "alert-by-mail.md").read_text())
    assert address is not None

    assert list(addresses_of(Secret(address[1])).values()) == [address[1]]
