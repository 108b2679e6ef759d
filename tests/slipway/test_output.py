"""What people read: tables of 80 characters, colours unless they are refused, progress."""

import time

import pytest

from slipway import output, progress, tables
from slipway.app import run_command_line
from slipway.progress import counting, working
from tests.conftest import Workplace
from tests.slipway.test_command_line import Capture

COLOUR = "\x1b[33m"


def test_the_tables_of_the_demo_fit_80_characters(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    trained = ("diabetes 12", "sklearn", "roc_auc", 0.8007, "0.7883 .. 0.8124", "1.2e-07", "passed")
    window = ("diabetes 12", "like training", 0, "quality", "age, blood_pressure and 3 more")
    output.table("Models", tables.TRAINED_COLUMNS, [trained])
    output.table("Traffic and verdicts", tables.WINDOW_COLUMNS, [window])
    lines = capsys.readouterr().out.splitlines()

    assert max(map(len, lines)) <= 80
    assert any(line.rstrip().endswith("passed") for line in lines)
    assert len(lines) == 8, "no cell is folded"


@pytest.mark.parametrize("is_refused", [True, False])
def test_no_color_is_obeyed(
    is_refused: bool, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    for name in ("FORCE_COLOR", *(["NO_COLOR"] if is_refused else [])):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    output.say("3 rows", label="rejected", style="yellow")

    assert (COLOUR in capsys.readouterr().out) is not is_refused


def test_what_takes_long_prints_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.02)
    with working("judging loan"):
        time.sleep(0.2)
    with counting("sending rows", 2_000) as advance:
        advance(1_500)
        time.sleep(0.03)
        advance(100)
    captured = capsys.readouterr()

    assert captured.out == ""
    assert "judging loan: 0 s\n" in captured.err
    assert captured.err.endswith("sending rows: 1,600 of 2,000\n")


def test_what_ends_soon_prints_nothing(capsys: Capture) -> None:
    with working("judging loan"), counting("sending rows", 1) as advance:
        advance(1)

    assert capsys.readouterr().err == ""


def test_a_terminal_shows_what_is_done(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with working("judging loan"):
        pass
    with counting("sending rows", 2_000) as advance:
        advance(2_000)
    shown = capsys.readouterr().err

    assert "judging loan" in shown
    assert "2000/2000" in shown


def test_status_says_that_no_service_answers(workplace: Workplace, capsys: Capture) -> None:
    assert workplace.store.models.all() == []

    assert run_command_line(["status", "--url", "http://127.0.0.1:9"]) == 0
    assert "no service answers at http://127.0.0.1:9: start it with" in capsys.readouterr().err


def test_the_nearest_model_and_recipe_are_named(workplace: Workplace, capsys: Capture) -> None:
    workplace.store.models.ensure("loan", "a model")

    for arguments in (["history", "lone"], ["monitor", "lone"], ["train", "lone"]):
        assert run_command_line(arguments) != 0
        assert "did you mean 'loan'?" in capsys.readouterr().err
