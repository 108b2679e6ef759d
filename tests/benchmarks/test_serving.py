"""The benchmark itself: it weighs whole process trees, and times no wrong answers."""

import asyncio
import re
import shutil
import socket
import sys
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.serving import bad_requests
from benchmarks.serving.agreement import check_answers
from benchmarks.serving.all_peers import PEERS
from benchmarks.serving.bad_requests import badnesses
from benchmarks.serving.bar import at_most, speed_bars
from benchmarks.serving.compare import Measurement, medians
from benchmarks.serving.neighbours import KINDS_WANTED
from benchmarks.serving.peer import FOLDER, Peer, Slipway
from benchmarks.serving.server import Server, family, free_port
from benchmarks.serving.testbed import Work, quiet_environ, write_bodies
from benchmarks.serving.wrk import drive
from contracts.errors import PlatformError

ROW = {"age": 40, "owner": True}
PARENT_AND_CHILD = """
import subprocess, sys
code = "import time; held = b'x' * 80_000_000; time.sleep(60)"
child = subprocess.Popen([sys.executable, "-c", code])
import http.server
http.server.test(http.server.SimpleHTTPRequestHandler, port=int(sys.argv[1]), bind="127.0.0.1")
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server with a child that holds 80 MB; a POST it refuses with 501."""
    port = free_port()
    with Server(
        [sys.executable, "-c", PARENT_AND_CHILD, str(port)],
        cwd=tmp_path,
        environ=quiet_environ(),
        port=port,
        ready_path="/",
        log=tmp_path / "server.log",
    ) as running:
        yield running


@pytest.mark.slow
def test_a_server_is_weighed_and_ended_with_its_children(server: Server) -> None:
    tree = family(server.process.pid)
    assert len(tree) == 2
    while server.weight().rss_mb < 80:
        assert server.process.poll() is None

    server.stop()

    assert not any(Path(f"/proc/{pid}").exists() for pid in tree[:1])
    assert server.weight().rss_mb == 0


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_requests_that_are_refused_are_counted(server: Server, tmp_path: Path) -> None:
    bodies = write_bodies(tmp_path / "bodies.jsonl", [ROW, ROW])

    load = drive(server.port, "/", bodies, connections=2, seconds=1, cores="")

    assert load.requests > 0
    assert load.bad_statuses == load.requests


class Answering:
    """A server that always says the same."""

    def __init__(self, score: float) -> None:
        self._answer = {"probabilities": {"no": 1 - score, "yes": score}}

    def post(self, path: str, body: bytes) -> bytes:
        del body
        batch = {"results": [self._answer] * 100}
        return msgspec.json.encode(batch if path.endswith("/batch") else self._answer)


@pytest.mark.parametrize(
    ("said", "is_right"), [(0.25, True), (0.250005, True), (0.2502, False), (float("nan"), False)]
)
def test_an_answer_that_is_not_the_pipelines_is_not_timed(*, said: float, is_right: bool) -> None:
    work = Work("loan", (ROW,) * 200, (0.25,) * 200)
    server: Any = Answering(said)

    if is_right:
        assert check_answers(Slipway(), server, work) < 1e-5
    else:
        with pytest.raises(PlatformError, match="expected the pipeline's answers within 1e-05"):
            check_answers(Slipway(), server, work)


def measured(peer: str, rate: float, bad: int = 0, others: float = 0.0) -> Measurement:
    return Measurement("one-32", peer, 1, rate, 2.0, 5.0, 50.0, 100.0, bad, 0.0, others)


def test_a_median_forgets_disturbed_rounds_and_no_failure() -> None:
    calm = [measured("slipway", 9), measured("slipway", 8), measured("slipway", 7)]
    disturbed = [measured("slipway", 1, bad=2, others=0.5), measured("slipway", 2, others=0.4)]

    (middle,) = medians([*calm, *disturbed])
    (never_calm,) = medians(disturbed)

    assert (middle.requests_per_s, middle.bad) == (8, 2)
    assert (never_calm.requests_per_s, never_calm.others) == (1.5, 0.45)


def test_bars_compare_us_with_the_peers_that_were_measured() -> None:
    bars = speed_bars([measured("slipway", 1000), measured("fastapi", 10.1)])

    said = {bar.wanted: (bar.measured, bar.met) for bar in bars}
    assert said["one-32: requests/s against fastapi >= 100x"] == ("99x", False)
    assert said["one-32: p99 against p50 <= 3x"] == ("2.5x", True)
    assert not any("litserve" in wanted for wanted in said)
    assert not at_most("anything", 3, float("nan")).met


@pytest.mark.parametrize(
    "peer", [p for p in PEERS if p.name not in {"slipway", "nginx"}], ids=lambda p: p.name
)
def test_what_a_peer_is_made_of_is_pinned_and_names_no_index(peer: Peer) -> None:
    lock = (FOLDER / peer.name / "requirements.txt").read_text()
    wanted = (FOLDER / peer.name / "requirements.in").read_text()

    pins = re.findall(r"^[\w.-]+(?:\[\w+\])?==\S+", lock, re.MULTILINE)
    requirements = re.findall(r"^\w\S*", lock, re.MULTILINE)
    assert len(pins) == len(requirements) > 0
    assert lock.count("--hash=sha256:") >= len(pins)
    assert "://" not in lock + wanted
    assert "index" not in wanted


def test_bad_clients_are_bad_in_as_many_ways_as_wanted() -> None:
    kinds = badnesses("/models/loan/predict", ROW)

    assert len({kind.name for kind in kinds}) == len(kinds) >= KINDS_WANTED
    assert all(200 not in kind.deserved for kind in kinds)


def test_a_server_that_listens_for_ever_is_not_taken_for_one_that_closes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bad_requests, "LONGEST_DRIP_S", 0.5)
    (drip,) = [kind for kind in badnesses("/", ROW) if kind.name == "a slow drip of the head"]

    # The kernel accepts the connection; nobody ever reads from it.
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(TimeoutError),
        asyncio.Runner() as runner,
    ):
        runner.run(_awaited(drip.attack(silent.getsockname()[1])))


async def _awaited(attack: Awaitable[int]) -> int:
    return await attack
