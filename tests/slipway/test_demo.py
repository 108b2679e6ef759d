"""The whole loop, as the person who types the commands sees it."""

import json
import socket
from pathlib import Path

import jsonschema_rs
import pytest

from slipway.json_results import schema_of
from tests.slipway.conftest import Checkout, free_port

pytestmark = pytest.mark.slow


def test_the_demo_ends_with_real_numbers(demoed: Checkout) -> None:
    for word in ("iris", "loan", "diabetes", "roc_auc", "requests/s", "mlflow ui", "bentoml serve"):
        assert word in demoed.output
    verdicts = [json.loads(p.read_bytes()) for p in demoed.root.glob("var/verdicts/*/*.json")]
    assert len(verdicts) == 6
    assert {v["decision"] for v in verdicts if v["model"] == "loan"} >= {"stable"}
    assert all(Path(demoed.root / v["report"]).is_file() for v in verdicts)


def test_drifted_traffic_is_found_and_like_traffic_is_not(demoed: Checkout) -> None:
    verdicts = [json.loads(p.read_bytes()) for p in demoed.root.glob("var/verdicts/*/*.json")]
    for model in ("loan", "iris", "diabetes"):
        first, second = sorted(
            (v for v in verdicts if v["model"] == model), key=lambda v: v["window"]["start"]
        )
        assert first["decision"] == "stable", first["sentence"]
        assert second["decision"] in {"drift", "quality"}, second["sentence"]


def test_a_taken_port_is_reported_before_anything_starts(demoed: Checkout) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        done = demoed.run("slipway", "demo", "--port", str(port))

    assert done.returncode == 1
    assert f"port: expected 127.0.0.1:{port} to be free" in done.stderr
    assert f"choose --port {port + 1}" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_run_works_and_leaves_no_process(demoed: Checkout) -> None:
    port = free_port()
    arguments = ("slipway", "demo", "--port", str(port), "--rows", "1000", "--json")
    done = demoed.run(*arguments, timeout_s=300)

    assert done.returncode == 0, done.stderr
    stories = json.loads(done.stdout)
    jsonschema_rs.validate(schema_of("demo"), stories)
    assert [story["trained"]["version"] for story in stories] == [2, 2, 2]
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize(
    ("arguments", "exit_code", "says"),
    [
        (["train", "lone"], 1, "lone"),
        (["promote", "lone"], 4, "lone"),
        (["promote", "loan", "--version", "99"], 4, "99"),
        (["promote", "loan", "--version", "1", "--force"], 1, "--because"),
        (["rollback", "lone"], 4, "lone"),
        (["monitor", "loan", "--last", "soon"], 1, "--last"),
        (["explain", "no-such-prediction"], 4, "no-such-prediction"),
        (["history", "lone"], 4, "lone"),
        (["retrain", "lone", "--because", "schedule"], 4, "lone"),
        (["retrain", "loan", "--because", "drift"], 1, "--because"),
        (["retrain", "loan", "--because", "schedule"], 3, "expected at least 300 predictions"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_reported_without_a_traceback(
    demoed: Checkout, arguments: list[str], exit_code: int, says: str
) -> None:
    done = demoed.run("slipway", *arguments)

    assert done.returncode == exit_code, done.stderr
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert "help: " in done.stderr
    assert "Traceback" not in done.stderr


def test_an_error_is_json_where_json_was_asked(demoed: Checkout) -> None:
    done = demoed.run("slipway", "promote", "lone", "--json")

    assert json.loads(done.stdout)["error"]["code"] == "not_registered"


def test_a_prediction_is_walked_back_to_its_data(demoed: Checkout) -> None:
    log_file = next(demoed.root.glob("var/traffic/loan/*/*.jsonl"))
    record = json.loads(log_file.read_text().splitlines()[0])
    done = demoed.run("slipway", "explain", record["prediction_id"], "--json")

    story = json.loads(done.stdout)
    jsonschema_rs.validate(schema_of("explain"), story)
    assert story["prediction"]["features"] == record["features"]
    assert story["lineage"]["run_id"]
    assert story["lineage"]["data_digest"]


@pytest.mark.parametrize("command", ["versions", "history loan", "doctor", "pull"])
def test_lists_print_for_people_and_for_scripts(demoed: Checkout, command: str) -> None:
    people = demoed.run("slipway", *command.split())
    scripts = demoed.run("slipway", *command.split(), "--json")

    assert people.returncode == 0, people.stderr
    assert scripts.returncode == 0, scripts.stderr
    jsonschema_rs.validate(schema_of(command.split(maxsplit=1)[0]), json.loads(scripts.stdout))


@pytest.mark.parametrize(
    "command",
    ["status", "traffic-split loan", "compact iris", "monitor iris", "replay loan --limit 50"],
)
def test_json_is_as_its_schema_says(demoed: Checkout, command: str) -> None:
    done = demoed.run("slipway", *command.split(), "--json")

    assert done.returncode == 0, done.stderr
    jsonschema_rs.validate(schema_of(command.split(maxsplit=1)[0]), json.loads(done.stdout))
