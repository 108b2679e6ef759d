"""`--json` of every command has a schema, and what is printed is as the schema says."""

import json
from pathlib import Path

import jsonschema_rs
import pytest

from slipway.app import run_command_line
from slipway.json_results import ERROR, RESULTS, schema_of
from tests.slipway.test_command_line import Capture, all_commands

LOG_ONLY = {"follow", "stream", "worker"}
"""Commands that run until they are stopped, and only log."""


def test_every_command_that_prints_json_has_a_schema() -> None:
    assert set(RESULTS) == set(all_commands()) - LOG_ONLY


@pytest.mark.parametrize("command", [*RESULTS, "error"])
def test_a_schema_is_valid(command: str) -> None:
    schema = schema_of(command)

    jsonschema_rs.Draft202012Validator(schema)
    assert schema.keys() & {"$ref", "type"}


def printed(arguments: list[str], capsys: Capture) -> object:
    """What a command printed as JSON."""
    run_command_line([*arguments, "--json"])
    return json.loads(capsys.readouterr().out)


def test_keys_print_what_their_schemas_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("SLIPWAY_VAR", str(tmp_path))
    created = printed(["keys", "create", "shop"], capsys)
    assert isinstance(created, dict)
    for words in (
        ["create", "app"],
        ["list"],
        ["rotate", created["id"]],
        ["revoke", created["id"]],
    ):
        got = printed(["keys", *words], capsys)
        jsonschema_rs.validate(RESULTS[f"keys {words[0]}"].schema(), got)
    assert "sha256" not in str(printed(["keys", "list"], capsys))


def test_an_error_and_other_results_are_as_their_schemas_say(capsys: Capture) -> None:
    jsonschema_rs.validate(ERROR.schema(), printed(["monitor"], capsys))
    size = ["size", "--rate", "20000"]
    jsonschema_rs.validate(RESULTS["size"].schema(), printed(size, capsys))
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.validate(RESULTS["versions"].schema(), printed(size, capsys))


def test_the_schema_of_a_command_is_printed(capsys: Capture) -> None:
    assert run_command_line(["schema", "keys", "list"]) == 0
    assert json.loads(capsys.readouterr().out) == schema_of("keys list")

    assert run_command_line(["schema"]) == 0
    assert set(RESULTS) <= {line.split("  ")[0] for line in capsys.readouterr().out.splitlines()}
    assert run_command_line(["schema", "follow"]) == 2
