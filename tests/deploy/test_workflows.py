"""The workflows of GitHub: valid, pinned, and their steps run with what `slipway` really prints."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it carries no types

from registry.listing import VersionInfo
from slipway.load_client import LoadResult
from slipway.model_state import ModelState
from tests.deploy.replicas import ROOT
from tests.slipway.test_docs import is_known

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
RELEASE = ROOT / "deploy" / "ci" / "release.py"
BIN = Path(sys.executable).parent
RUNS = [
    (path.name, step["run"])
    for path in WORKFLOWS
    for job in yaml.safe_load(path.read_text())["jobs"].values()
    for step in job["steps"]
    if "run" in step
]


@pytest.mark.parametrize(
    "command",
    [
        ["check-jsonschema", "--builtin-schema", "vendor.github-workflows"],
        ["actionlint"],
        ["zizmor", "--offline", "--no-progress"],
    ],
    ids=lambda command: str(command[0]),
)
def test_a_checker_finds_nothing(command: list[str]) -> None:
    done = subprocess.run(
        [BIN / command[0], *command[1:], *WORKFLOWS], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_actions_are_pinned_and_jobs_have_limits_and_few_rights() -> None:
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text())
        assert workflow["permissions"] == {}, path.name
        for job in workflow["jobs"].values():
            assert job["permissions"]["contents"] == "read"
            assert job["timeout-minutes"]
        for action in re.findall(r"uses: (\S+)", path.read_text()):
            assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action)


def test_production_waits_for_staging_and_for_a_person() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/release-model.yml").read_text())["jobs"]

    assert "staging" in jobs["production"]["needs"]
    assert jobs["production"]["environment"] == "production"
    assert {jobs[name]["environment"] for name in ("model", "image", "staging")} == {"staging"}


def test_every_command_and_step_exists() -> None:
    """`make` targets, `slipway` commands and the steps of release.py."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    steps = set(re.findall(r"^    (\w+) +[A-Z]", RELEASE.read_text(), re.MULTILINE))
    for name, text in RUNS:
        for target in re.findall(r"\bmake ([a-z-]+)", text):
            assert target in targets, name
        for step in re.findall(r"release\.py (\w+)", text):
            assert step in steps, name
        for words in re.findall(r"^slipway (.+)$", text, re.MULTILINE):
            assert is_known(re.sub(r'"\$VERSION"', "7", words).replace('"', "").split()), words


def test_an_expression_is_never_part_of_a_script() -> None:
    for name, text in RUNS:
        assert "${{" not in text, name


# The steps of release.py


def run_step(
    folder: Path, *arguments: str, answers: dict[str, Any] | None = None, **environ: str
) -> "subprocess.CompletedProcess[str]":
    """A step with a double of `slipway` that prints the answer to each command, and logs it."""
    (folder / "answers.json").write_text(json.dumps(answers or {}))
    double = folder / "slipway"
    double.write_text(
        f"#!{sys.executable}\nimport json, sys\n"
        f"answers = json.load(open({str(folder / 'answers.json')!r}))\n"
        f"open({str(folder / 'log')!r}, 'a').write(' '.join(sys.argv[1:]) + '\\n')\n"
        "print(json.dumps(answers.get(sys.argv[1], {})))\n"
    )
    double.chmod(0o755)
    return subprocess.run(
        [sys.executable, RELEASE, *arguments],
        env={"PATH": str(folder), **environ},
        capture_output=True,
        text=True,
        check=False,
    )


def version(number: int, *, is_production: bool) -> dict[str, Any]:
    return {"name": "loan", "version": number, "is_production": is_production}


def state(canary: str) -> list[dict[str, Any]]:
    return [{"name": "loan", "canary": canary}]


def test_the_fields_that_are_read_are_those_that_slipway_prints() -> None:
    def names(kind: Any) -> set[str]:
        return {field.name for field in dataclasses.fields(kind)}

    assert {"name", "version", "is_production"} <= names(VersionInfo)
    assert {"name", "canary"} <= names(ModelState)
    assert {"errors", "statuses"} <= names(LoadResult)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["smoke", "loan"], "error: smoke: expected MODEL URL, got loan"),
        (["train"], "error: train: expected MODEL, got nothing"),
        (["fly"], "error: STEP: expected one of train, bom"),
    ],
)
def test_wrong_arguments_are_named(tmp_path: Path, words: list[str], expected: str) -> None:
    done = run_step(tmp_path, *words)

    assert done.returncode == 2
    assert done.stderr.startswith(expected)


def test_training_prints_the_new_version(tmp_path: Path) -> None:
    known = [version(7, is_production=False), version(6, is_production=True)]
    done = run_step(tmp_path, "train", "loan", answers={"versions": known})

    assert (done.returncode, done.stdout) == (0, "version=7\n")


def test_a_canary_that_promotes_is_a_success(tmp_path: Path) -> None:
    answers = {"versions": [version(7, is_production=True)], "status": state("")}
    done = run_step(tmp_path, "canary", "loan", "7", answers=answers)

    assert done.returncode == 0, done.stderr
    log = (tmp_path / "log").read_text()
    assert log.startswith("traffic-split loan challenger=canary --version 7 --json\n")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("version 7: aborted: it fails more than 1 %", "got aborted: it fails"),
        ("version 7: step 1 of 3 at 5%", "no decision in 0.2 s"),
        ("version 6: aborted: an older one", "no decision in 0.2 s"),
    ],
)
def test_a_canary_that_aborts_or_never_decides_fails(
    tmp_path: Path, said: str, expected: str
) -> None:
    answers = {"versions": [version(7, is_production=False)], "status": state(said)}
    limits = {"CANARY_TIMEOUT_S": "0.2", "CANARY_POLL_S": "0.05"}
    done = run_step(tmp_path, "canary", "loan", "7", answers=answers, **limits)

    assert done.returncode == 1
    assert expected in done.stderr


@pytest.mark.parametrize("is_production", [True, False])
def test_a_rollback_leaves_production_alone_if_it_was_not_moved(
    tmp_path: Path, is_production: bool
) -> None:
    answers = {"versions": [version(7, is_production=is_production)]}
    done = run_step(tmp_path, "rollback", "loan", "7", answers=answers)

    assert done.returncode == 0, done.stderr
    log = (tmp_path / "log").read_text()
    assert "traffic-split loan challenger=off" in log
    assert ("rollback loan" in log) == is_production


def test_the_list_of_parts_has_every_package_of_the_image(tmp_path: Path) -> None:
    done = run_step(tmp_path, "bom", str(tmp_path / "build" / "sbom.json"))
    parts = json.loads((tmp_path / "build" / "sbom.json").read_text())
    names = {part["name"] for part in parts["components"]}
    lock = (ROOT / "requirements" / "serving.txt").read_text()

    assert done.returncode == 0, done.stderr
    assert names == set(re.findall(r"^([a-z0-9][\w.-]*)", lock, re.MULTILINE))
    assert parts["bomFormat"] == "CycloneDX"
    assert all(
        re.fullmatch(r"pkg:pypi/\S+@[\w.+!-]+", part["purl"]) for part in parts["components"]
    )


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["deploy", "production", "image:tag"], 1, "expected one by its digest"),
        (["smoke", "loan", "http://127.0.0.1:1"], 1, "expected 200, got"),
        (["canary", "loan"], 2, "canary: expected MODEL VERSION, got loan"),
        (["fly"], 2, "expected one of train"),
    ],
)
def test_what_cannot_be_done_is_an_error(
    tmp_path: Path, arguments: list[str], code: int, says: str
) -> None:
    done = run_step(tmp_path, *arguments)

    assert done.returncode == code
    assert says in done.stderr
