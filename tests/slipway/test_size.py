"""`slipway size`: the model agrees with a simulated queue and with what was measured."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from contracts.errors import InvalidUsage
from slipway.app import app, run_command_line
from slipway.sizing import size, time_in_system_s

RESULTS = Path(__file__).parents[2] / "benchmarks" / "serving" / "results"


@pytest.mark.parametrize("utilization", [0.3, 0.7])
def test_the_p99_is_that_of_a_simulated_queue(utilization: float) -> None:
    """Lindley's recursion, which shares no code with the formula."""
    random, n, cpu_s = np.random.default_rng(1), 400_000, 1e-4
    arrivals = random.exponential(cpu_s / utilization, n)
    services = random.exponential(cpu_s, n)
    steps = np.concatenate([[0.0], np.cumsum(services[:-1] - arrivals[1:])])
    waits = steps - np.minimum.accumulate(steps)

    simulated = np.quantile(waits + services, 0.99)

    assert time_in_system_s(utilization / cpu_s, cpu_s) == pytest.approx(simulated, rel=0.05)


@pytest.mark.parametrize("scenario", ["one-32", "one-128", "forest-32"])
def test_the_capacity_of_a_worker_is_the_measured_one(scenario: str) -> None:
    """One core serves at most one request per cpu time; the benchmark filled the core."""
    medians = json.loads((RESULTS / "2026-11-21-ca383a32-compare.json").read_text())["medians"]
    (row,) = (r for r in medians if (r["scenario"], r["peer"]) == (scenario, "slipway"))

    assert 1e6 / row["cpu_us"] == pytest.approx(row["requests_per_s"], rel=0.1)


def test_replicas_carry_the_load_and_one_of_them_may_be_down() -> None:
    sizing = size(20_000, 0.020, 60e-6)

    assert (sizing.workers, sizing.replicas) == (2, 3)
    assert sizing.degraded_utilization == pytest.approx(0.6)
    assert sizing.utilization == pytest.approx(0.4)
    assert sizing.p99_s < sizing.degraded_p99_s < 0.020


@pytest.mark.parametrize("rate", [1, 500, 20_000, 300_000])
@pytest.mark.parametrize("p99_s", [0.0004, 0.002, 0.1])
def test_every_answer_keeps_its_promise(rate: float, p99_s: float) -> None:
    sizing = size(rate, p99_s, 60e-6, workers_per_replica=2)

    assert sizing.degraded_p99_s <= p99_s
    assert sizing.degraded_utilization <= 0.7
    assert sizing.replicas >= 2


def test_a_p99_that_no_number_of_replicas_reaches_is_refused() -> None:
    with pytest.raises(InvalidUsage, match=r"--p99: expected at least 0\.276 ms"):
        size(100, 0.0001, 60e-6)


def test_the_command_says_it_in_words_and_in_json() -> None:
    words = CliRunner().invoke(app, ["size", "--rate", "20000", "--p99", "20ms"])
    assert words.exit_code == 0
    assert "3 replicas of 1 worker: 40% of each core" in words.output
    assert "with 1 down: 60%" in words.output


def test_json_and_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command_line(["size", "--rate", "20000", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["replicas"] == 3
    assert run_command_line(["size", "--rate", "1", "--p99", "20", "--json"]) == 1
    assert "ms or s" in json.loads(capsys.readouterr().out)["error"]["message"]
