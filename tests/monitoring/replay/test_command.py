"""`slipway replay`, and `slipway promote --replay`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from contracts.errors import GateRefused, PlatformError
from registry.rollback import rollback
from slipway.app import app
from slipway.shares import parse_share
from tests.conftest import Workplace
from tests.monitoring.replay.scenario import (
    N,
)


@pytest.mark.usefixtures("traffic")
def test_a_promotion_can_demand_a_replay(place: Workplace) -> None:
    """The decision on the challenger's run has the check, and the replay is among its artifacts."""
    arguments = ["promote", "tiny", "--version", "2", "--replay", "3000d"]
    refused = CliRunner().invoke(app, [*arguments, "--max-flips", "0.1%"])
    assert isinstance(refused.exception, GateRefused)
    assert "at most 0.10% decided differently" in str(refused.exception)
    forced = CliRunner().invoke(app, [*arguments, "--force", "--because", "a test", "--json"])
    rollback(place.store, "tiny", to=1, actor="ada")

    decision = json.loads(forced.output)["decision"]
    (check,) = [c for c in decision["checks"] if c["subject"] == "replay"]
    assert check["passed"]
    assert not check["judged"]
    names = [Path(p).name for p in place.store.artifacts.paths(decision["run_id"], "monitoring")]
    assert check["got"].split("see ")[1] + ".html" in names


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--max-flips", "2%"], "expected --replay with it"),
        (["--replay", "soon"], "--replay: expected a number with s, m, h or d"),
        (["--replay", "7d", "--max-flips", "few"], "--max-flips: expected a share"),
    ],
)
def test_a_demand_that_cannot_be_read_is_refused_first(arguments: list[str], says: str) -> None:
    refused = CliRunner().invoke(app, ["promote", "tiny", *arguments])

    assert says in str(refused.exception)


@pytest.mark.parametrize(("text", "share"), [("2%", 0.02), ("0.5 %", 0.005), ("0.02", 0.02)])
def test_a_share_is_given_either_way(text: str, share: float) -> None:
    assert parse_share(text, "--max-flips") == pytest.approx(share)


@pytest.mark.parametrize("text", ["", "many", "-1%", "200%", "nan"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(PlatformError, match="--max-flips: expected a share"):
        parse_share(text, "--max-flips")


@pytest.mark.usefixtures("place", "traffic")
def test_the_command_prints_a_table_and_json() -> None:
    arguments = ["replay", "tiny", "--version", "2"]
    arguments += ["--start", "2026-01-31T12:00:00Z", "--end", "2026-01-31T13:00:00Z"]
    people = CliRunner().invoke(app, arguments)
    scripts = CliRunner().invoke(app, [*arguments, "--json"])

    assert people.exit_code == 0, people.output
    assert "would decide" in people.output
    assert "region = north" in people.output
    assert json.loads(scripts.output)["flips"]["rows"] == N
    # The newest is the default.
    newest = CliRunner().invoke(app, [*arguments[:2], *arguments[4:], "--limit", "5", "--json"])
    assert json.loads(newest.output)["version"] == 3
