"""The shipped nginx configuration: limits equal to the service's, and retries of what is safe."""

import http.client
import json
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from services.edge.http_head import MAX_HEAD_BYTES
from services.protocols.catalog import PROTOCOLS
from services.settings import ServiceSettings
from tests.deploy.replicas import (
    NGINX_CONF,
    PREDICT,
    Replica,
    balanced,
    load,
    replicas,
)
from tests.services.http_client import GOOD, JSON, ask

NEEDS_NGINX = pytest.mark.skipif(
    not (shutil.which("nginx") or Path("/usr/sbin/nginx").exists()),
    reason="nginx is not installed: .ci/run does",
)
CONF = NGINX_CONF.read_text()
SETTINGS = ServiceSettings()
UNITS = {"": 1, "k": 1024, "m": 1024**2, "s": 1, "ms": 0.001}


def directive(name: str) -> float:
    """The value of a directive, in bytes or seconds; the last number of several."""
    found = re.findall(rf"^\s*{name} (?:\d+ )?(\d+)(\w*);", CONF, re.MULTILINE)
    assert found, name
    number, unit = found[-1]
    return int(number) * UNITS[unit]


@dataclass(frozen=True)
class Platform:
    """Two replicas and the port of the nginx before them."""

    replicas: list[Replica]
    port: int

    @property
    def url(self) -> str:
        """Where nginx answers."""
        return f"http://127.0.0.1:{self.port}"


@pytest.fixture(scope="module")
def platform(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    folder = tmp_path_factory.mktemp("balanced")
    with (
        replicas(folder, models, 2) as running,
        balanced(folder / "nginx", [replica.port for replica in running]) as port,
    ):
        yield Platform(running, port)


def test_limits_are_those_of_the_service() -> None:
    limits = [int(each) * UNITS["m"] for each in re.findall(r"client_max_body_size (\d+)m", CONF)]
    assert limits == [SETTINGS.body_bytes, SETTINGS.jobs_body_bytes]
    assert directive("large_client_header_buffers") == MAX_HEAD_BYTES
    assert directive("client_header_timeout") == SETTINGS.body_timeout_s
    assert directive("client_body_timeout") == SETTINGS.body_timeout_s
    assert directive("proxy_read_timeout") > SETTINGS.deadline_s
    assert directive("proxy_next_upstream_timeout") > 2 * directive("proxy_read_timeout")
    assert f"at most {SETTINGS.body_bytes} bytes" in CONF
    assert f"at most {SETTINGS.jobs_body_bytes} bytes" in CONF
    assert CONF.count("max_fails=0") == 3


def test_the_paths_that_are_retried_are_those_of_predictions() -> None:
    pattern, jobs = re.findall(r"location ~ (\S+) \{", CONF)
    templates = [path for protocol in PROTOCOLS for path in protocol.paths]

    for template in templates:
        assert re.fullmatch(pattern, template.format(model="loan", version=7)), template
    for path in ("/labels", "/models/loan/labels", "/models/loan", "/predictions", "/"):
        assert not re.fullmatch(pattern, path), path
        assert not re.match(jobs, path), path
    for path in ("/jobs", "/jobs/a", "/jobs/a/results", "/models/loan/jobs"):
        assert not re.fullmatch(pattern, path), path
        assert re.match(jobs, path), path


@pytest.mark.slow
@NEEDS_NGINX
def test_a_body_of_the_limit_passes_and_a_longer_one_is_refused(platform: Platform) -> None:
    largest = GOOD.ljust(SETTINGS.body_bytes)
    status, answer, _ = ask(platform, PREDICT, largest)
    assert status == 200, answer

    status, answer, headers = ask(platform, PREDICT, largest + b" ")
    assert (status, answer["error"]["code"]) == (413, "body_too_large")
    assert headers["content-type"] == "application/json"

    job = b'{"rows":[%b]}' % GOOD.ljust(SETTINGS.jobs_body_bytes - 11)
    status, answer, _ = ask(platform, "/models/tiny/jobs", job)
    assert (status, answer["rows"]) == (202, 1), answer
    status, answer, _ = ask(platform, "/models/tiny/jobs", job + b" ")
    assert (status, answer["error"]["code"]) == (413, "body_too_large")
    assert str(SETTINGS.jobs_body_bytes) in answer["error"]["message"]


@pytest.mark.slow
@NEEDS_NGINX
@pytest.mark.parametrize(("n_bytes", "expected"), [(60_000, 200), (66_000, 431)])
def test_a_head_is_limited_as_by_the_service(
    platform: Platform, n_bytes: int, expected: int
) -> None:
    status, answer, _ = ask(platform, PREDICT, headers=JSON | {"x-padding": "x" * n_bytes})

    assert status == expected, answer
    assert status == 200 or answer["error"]["code"] == "headers_too_large"


@pytest.mark.slow
@NEEDS_NGINX
def test_the_id_of_a_request_passes_and_metrics_do_not(platform: Platform) -> None:
    _, _, headers = ask(platform, PREDICT, headers=JSON | {"x-request-id": "abc-1"})
    assert headers["x-request-id"] == "abc-1"

    _, _, headers = ask(platform, PREDICT, headers=JSON | {"x-request-id": 'a"b'})
    assert re.fullmatch(r"[0-9a-f]{32}", headers["x-request-id"])
    assert ask(platform, "/metrics", None, "GET")[0] == 404


@pytest.mark.slow
@NEEDS_NGINX
def test_no_prediction_fails_when_a_replica_is_killed(platform: Platform) -> None:
    victim, survivor = platform.replicas
    with load(platform.port) as seen:
        seen.continues()
        victim.kill()
        seen.continues()
    victim.start()

    assert seen.failed == []
    assert survivor.process is not None
    assert survivor.process.poll() is None


@pytest.mark.slow
@NEEDS_NGINX
def test_no_prediction_fails_in_a_rolling_restart(platform: Platform) -> None:
    with load(platform.port) as seen:
        for replica in platform.replicas:
            seen.continues()
            replica.stop()
            replica.start()
            seen.continues()

    assert seen.failed == []


@contextmanager
def dying_server() -> Iterator[tuple[int, list[str]]]:
    """A server that reads each request and closes; gives its port and the paths it has read."""
    paths: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    client, _ = listening.accept()
                    with client:
                        paths.append(client.recv(65536).split(b" ", 2)[1].decode())

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1], paths
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join(10)


@pytest.mark.slow
@NEEDS_NGINX
def test_a_prediction_is_sent_again_and_labels_are_not(tmp_path: Path) -> None:
    with (
        dying_server() as (first, at_first),
        dying_server() as (second, at_second),
        balanced(tmp_path / "nginx", [first, second]) as port,
    ):
        for path, attempts in ((PREDICT, 2), ("/models/tiny/labels", 1)):
            del at_first[:], at_second[:]
            to = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            to.request("POST", path, GOOD, JSON)
            answer = to.getresponse()
            body = json.loads(answer.read())
            to.close()

            assert (answer.status, body["error"]["code"]) == (503, "not_ready")
            assert [*at_first, *at_second] == [path] * attempts
