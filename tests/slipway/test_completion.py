"""The shell offers commands, models, recipes and verdicts, fast and without a tracking server."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
HEAVY = {"msgspec", "numpy", "pandas", "sklearn", "mlflow", "bentoml", "rich", "httpx", "asyncio"}
MAX_HELP_MODULES = 230
"""Python itself and Typer are 170 of them."""
MAX_COMPLETION_MODULES = 340
"""Typer reads the words with pydantic, which is 100 more."""


def environment(root: Path, **more: str) -> dict[str, str]:
    """An environment whose tracking server answers nothing, with a machine's folder in `root`."""
    for path in ("models/loan", "models/iris", "traffic/own", "models/$(touch x)"):
        (root / path).mkdir(parents=True)
    verdicts = root / "verdicts" / "loan"
    verdicts.mkdir(parents=True)
    for name in ("loan-1-20260101T000000.000Z", "loan-1-20260102T000000.000Z"):
        (verdicts / f"{name}.json").write_text("{}")
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    away = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "SLIPWAY_VAR": str(root)}
    return {**os.environ, "PATH": path, **away, **more}


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("mon", ["monitor"]),
        ("keys ro", ["rotate"]),
        ("monitor --la", ["--last"]),
        ("train dia", ["diabetes"]),
        ("monitor lo", ["loan", "loan_catboost", "loan_lightgbm", "loan_xgboost"]),
        ("promote ow", ["own"]),
        ("labels truth.csv --model ir", ["iris"]),
        ("promote $", []),
        (
            "accept loan loan-",
            ["loan-1-20260102T000000.000Z", "loan-1-20260101T000000.000Z"],
        ),
        ("traffic-split loan challenger=c", ["challenger=canary"]),
    ],
)
def test_bash_offers_what_may_follow(words: str, offered: list[str], tmp_path: Path) -> None:
    """By the script that `slipway --show-completion` prints, in a real bash."""
    typed = ["slipway", *words.split(" ")]
    script = (
        'eval "$(slipway --show-completion)"\n'
        f"COMP_WORDS=({' '.join(map(repr, typed))}); COMP_CWORD={len(typed) - 1}\n"
        "_slipway_completion slipway\n"
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env=environment(tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stderr == ""
    assert done.stdout.split() == offered


@pytest.mark.parametrize(
    ("arguments", "variables", "limit"),
    [
        (["--help"], {}, MAX_HELP_MODULES),
        (
            [],
            {"_SLIPWAY_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "slipway pro"},
            MAX_COMPLETION_MODULES,
        ),
        (
            [],
            {"_SLIPWAY_COMPLETE": "complete_fish", "_TYPER_COMPLETE_ARGS": "slipway train l"},
            MAX_COMPLETION_MODULES,
        ),
    ],
    ids=["help", "zsh", "fish"],
)
def test_help_and_completion_start_with_few_modules(
    arguments: list[str], variables: dict[str, str], limit: int, tmp_path: Path
) -> None:
    """Counted, not timed: what a start takes is what it imports."""
    code = (
        "import json, sys\nfrom slipway.app import run_command_line, main\n"
        f"sys.argv[1:] = {arguments}\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    action = {"_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(tmp_path, **variables, **action),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    *shown, modules = done.stdout.splitlines()
    loaded = json.loads(modules)

    assert shown
    assert not HEAVY & {name.split(".")[0] for name in loaded}
    assert len(loaded) < limit
