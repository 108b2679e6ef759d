"""`slipway ab`."""

import json

import pytest
from typer.testing import CliRunner

from slipway.app import app
from tests.conftest import Workplace


def test_the_analysis_of_an_experiment_is_one_command(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.root)
    text = CliRunner().invoke(app, ["ab", "tiny", "--last", "14d"])
    machine = CliRunner().invoke(app, ["ab", "tiny", "--weight", "10%", "--json"])

    assert text.exit_code == 0, text.output
    assert "no decision yet" in text.output
    assert json.loads(machine.output)["outcome"] == "undecided"
