"""Mistakes in a command line are errors of the house; old spellings work, with a note."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from contracts import errors
from contracts.errors import PlatformError
from slipway.app import app, run_command_line
from slipway.deprecations import COMMANDS, OPTIONS, modernize
from slipway.exit_codes import MEANINGS, SHORT_MEANINGS
from slipway.options import TASK_EXAMPLES

Capture = pytest.CaptureFixture[str]


def all_commands() -> dict[str, Any]:
    """Every command by its words, groups opened."""
    found: dict[str, Any] = {}
    todo: list[tuple[str, Any]] = [("", get_command(app))]
    while todo:
        name, command = todo.pop()
        for child, inner in getattr(command, "commands", {}).items():
            todo.append((f"{name} {child}".strip(), inner))
        if name and not hasattr(command, "commands"):
            found[name] = command
    return found


@pytest.mark.parametrize(
    ("arguments", "what", "remedy"),
    [
        (["trane"], "slipway: unknown command 'trane'", "did you mean 'train'"),
        (["keys", "rotat"], "slipway keys: unknown command 'rotat'", "did you mean 'rotate'"),
        (["monitor"], "MODEL: expected a value, got none", "slipway monitor loan --last 24h"),
        (["labels"], "FILE: expected a value, got none", "slipway labels truth.csv"),
        (["labels", "truth.csv"], "--model: expected a value, got none", "slipway labels --help"),
        (["serve", "--port"], "--port: expected a value, got none", "slipway serve --help"),
        (["serve", "--prot", "3"], "slipway serve: unknown option --prot", "did you mean --port?"),
        (
            ["simulate", "loan", "--rows", "many"],
            "--rows: expected a valid integer, got 'many'",
            "slipway simulate loan --rows 5000",
        ),
        (
            ["simulate", "loan", "--rows=0"],
            "--rows: expected greater than or equal to 1, got '0'",
            "slipway simulate --help",
        ),
        (["history", "loan", "iris"], "slipway history: got unexpected extra", "slipway history"),
        (["train"], "RECIPE: expected one or more of diabetes, iris, loan", "slipway train --all"),
        (["monitor", "loan", "--retrain"], "--retrain: expected --every with it", "--every 15m"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_an_error_in_the_form_of_the_house(
    arguments: list[str], what: str, remedy: str, capsys: Capture
) -> None:
    assert run_command_line(arguments) == 2
    people = capsys.readouterr()
    assert people.out == ""
    assert people.err.startswith(f"error: {what}")
    assert "\nhelp: " in people.err
    assert remedy in people.err

    assert run_command_line([*arguments, "--json"]) == 2
    scripts = json.loads(capsys.readouterr().out)["error"]
    if arguments != ["serve", "--port"]:  # the option takes --json as its value
        assert scripts["code"] == "invalid_usage"
        assert what in scripts["message"]
        assert remedy in scripts["remedy"]


def test_an_error_of_ours_is_json_too(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLIPWAY_VARR", "elsewhere")

    assert run_command_line(["versions", "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert sorted(error) == ["code", "message", "remedy"]
    assert error["code"] == "invalid_setting"
    assert "SLIPWAY_VARR" in error["message"]


def test_a_command_without_arguments_shows_its_help(capsys: Capture) -> None:
    for arguments in ([], ["keys"]):
        assert run_command_line(arguments) == 2
        captured = capsys.readouterr()
        assert "Usage: slipway" in captured.out
        assert captured.err == ""


def test_the_version_is_printed(capsys: Capture) -> None:
    assert run_command_line(["--version"]) == 0
    assert capsys.readouterr().out.startswith("slipway ")


@pytest.mark.parametrize("name", all_commands())
def test_every_command_has_an_example_and_json(name: str) -> None:
    command = all_commands()[name]

    assert command.epilog.startswith(f"Example: slipway {name}")
    assert "--json" in {option for parameter in command.params for option in parameter.opts}
    assert all(parameter.help for parameter in command.params if parameter.name != "help")


def test_the_help_lists_every_command_below_its_task_with_an_example(capsys: Capture) -> None:
    assert run_command_line(["--help"]) == 0
    page = capsys.readouterr().out
    shown: dict[str, list[str]] = {}
    for section in page.split("\n\n"):
        title, _, rest = section.partition(":\n")
        if title in TASK_EXAMPLES:
            shown[title] = re.findall(r"^  (\w[\w-]*) ", rest, re.MULTILINE)

    assert list(shown) == list(TASK_EXAMPLES)
    top = {name.split()[0] for name in all_commands()}
    assert sorted(top) == sorted(name for names in shown.values() for name in names)
    for example in TASK_EXAMPLES.values():
        assert f"\n  Example: {example}\n" in page


def test_the_exit_codes_in_help_and_page_are_those_of_the_errors(capsys: Capture) -> None:
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", page, re.MULTILINE)
    assert rows == [(str(code), sentence) for code, (_, sentence) in MEANINGS.items()]

    assert run_command_line(["--help"]) == 0
    help_page = " ".join(capsys.readouterr().out.split())
    for code, short in SHORT_MEANINGS.items():
        assert f"{code} {short}" in help_page
    codes = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, PlatformError)
    }

    assert codes == {1, 2, 3, 4, 5, 6, 7}
    assert set(MEANINGS) == {0, *codes, 130}


def cases() -> list[tuple[str, str, str]]:
    """Each old option: its command, its old and its new spelling."""
    return [(name, old, new) for name, each in OPTIONS.items() for old, new in each.items()]


@pytest.mark.parametrize(("name", "old", "new"), cases())
@pytest.mark.parametrize("join", [lambda o, v: [o, v], lambda o, v: [f"{o}={v}"]])
def test_an_old_option_works_with_a_note(
    name: str, old: str, new: str, join: Callable[[str, str], list[str]], capsys: Capture
) -> None:
    """The value is refused under the new name, which shows that it arrived there."""
    assert run_command_line([name, "loan", *join(old, "soon")]) == 1
    err = capsys.readouterr().err.splitlines()

    assert err[0].startswith(f"deprecated: slipway {name} {old} is now {new};")
    assert err[1].startswith(f"error: {new}: expected")


def test_the_old_name_of_simulate_works_with_a_note(capsys: Capture) -> None:
    assert run_command_line(["traffic", "no_such_recipe", "--json"]) == 1
    captured = capsys.readouterr()

    assert captured.err.startswith("deprecated: slipway traffic is now slipway simulate;")
    assert json.loads(captured.out)["error"]["code"] == "invalid_recipe"


def test_old_spellings_are_in_no_help() -> None:
    assert not COMMANDS.keys() & all_commands().keys()
    for name, options in OPTIONS.items():
        shown = {option for each in all_commands()[name].params for option in each.opts}
        assert not options.keys() & shown


def test_a_spelling_of_today_has_no_note() -> None:
    arguments = ["monitor", "loan", "--last", "24h", "--start", "2026-01-31T12:00:00Z"]

    assert modernize(arguments) == (arguments, [])


def test_an_interrupted_command_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("slipway.context.store", lambda: interrupt(None))

    assert run_command_line(["versions"]) == 130


@pytest.mark.parametrize("port", ["70000", "-1"])
def test_a_number_that_is_no_port_is_refused(port: str, capsys: Capture) -> None:
    assert run_command_line(["board", "--port", port]) == 2
    assert f"port: expected 0 to 65535, got {port}" in capsys.readouterr().err


def test_the_operations_page_is_not_open_to_a_network_without_keys(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_SERVICE_KEYS", "off")

    assert run_command_line(["board", "--host", "0.0.0.0"]) == 1  # noqa: S104 - refused
    assert "expected keys for a page on 0.0.0.0, got off" in capsys.readouterr().err


def test_a_model_without_traffic_and_labels_is_not_compacted(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_VAR", str(tmp_path))

    assert run_command_line(["compact", "loan"]) == 1
    assert "expected a model with traffic or labels in" in capsys.readouterr().err
