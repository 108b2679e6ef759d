"""A person calls a flagged window usual, and says why."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contracts.errors import PlatformError
from contracts.names import Layout
from monitoring.verdicts.acceptance import accept, accepted_ids
from slipway.app import app
from tests.monitoring.verdict_history import MONDAY, finding, verdict


@pytest.mark.parametrize(
    ("verdict_id", "why", "message"),
    [
        ("tiny-1-99", "summer", "expected the id of a verdict, got 'tiny-1-99'"),
        ("../tiny-1-0", "summer", "expected the id of a verdict"),
        ("tiny-1-0", " ", "--because: expected a reason, got nothing"),
        ("tiny-1-1", "summer", "expected a verdict with findings to learn from, got 'no_traffic'"),
    ],
)
def test_what_cannot_be_accepted_is_an_error(
    verdict_id: str, why: str, message: str, tmp_path: Path
) -> None:
    layout = Layout(tmp_path)
    folder = layout.verdicts / "tiny"
    folder.mkdir(parents=True)
    (folder / "tiny-1-0.json").write_bytes(verdict(0, finding("age", 0.3, drifted=True)).write())
    (folder / "tiny-1-1.json").write_bytes(verdict(1, decision="no_traffic").write())

    with pytest.raises(PlatformError, match=message):
        accept(layout, "tiny", verdict_id, who="ada", why=why, now=MONDAY)
    assert accepted_ids(layout, "tiny") == frozenset()


def test_the_command_accepts_and_keeps_who_and_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_VAR", str(tmp_path))
    monkeypatch.setenv("SLIPWAY_REGISTRY_ACTOR", "ada")
    folder = Layout(tmp_path).verdicts / "tiny"
    folder.mkdir(parents=True)
    (folder / "tiny-1-0.json").write_bytes(verdict(0, finding("age", 0.3, drifted=True)).write())
    done = CliRunner().invoke(app, ["accept", "tiny", "tiny-1-0", "--because", "sale", "--json"])
    accepted = json.loads(done.stdout)

    assert (accepted["who"], accepted["why"]) == ("ada", "sale")
    assert accepted_ids(Layout(tmp_path), "tiny") == {"tiny-1-0"}
