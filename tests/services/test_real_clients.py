"""Real clients and proxies work as they come: every request is answered, and rightly."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.serving.clients.catalog import CLIENTS, Client, Target
from benchmarks.serving.clients.cpu import run
from benchmarks.serving.clients.proxies import PROXIES, is_installed, proxied
from tests.services.conftest import Service
from tests.services.http_client import GOOD, ask, metric

pytestmark = pytest.mark.slow
N = 7
ANSWERED = 'slipway_requests_total{model="tiny",status="200"}'
BY_NAME = {client.name: client for client in CLIENTS}
PAGE = Path(__file__).parents[2] / "docs" / "clients.md"


def asked(client: Client, service: Service, folder: Path, base: str = "") -> dict[str, Any]:
    """What a client prints, which has sent N rows of which each was answered."""
    if not client.is_installed:
        pytest.skip(f"{client.needs} is not installed: .ci/run does")
    body = folder / "row.json"
    body.write_bytes(GOOD)
    before = metric(service, ANSWERED)
    text = run(client, Target(base or service.url, "tiny", N, body))

    assert metric(service, ANSWERED) - before == N
    if not client.answers:
        return {}
    answer: dict[str, Any] = json.JSONDecoder().raw_decode(text)[0]
    return answer


@pytest.mark.parametrize("name", BY_NAME)
def test_a_client_works_as_it_comes(service: Service, tmp_path: Path, name: str) -> None:
    answer = asked(BY_NAME[name], service, tmp_path)
    _, expected, _ = ask(service, "/models/tiny/predict")

    if BY_NAME[name].answers:
        assert answer["prediction"] == expected["prediction"]
        if "probabilities" in answer:
            assert answer["probabilities"] == expected["probabilities"]


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize("name", ["http.client", "curl --http2"])
def test_a_proxy_passes_everything_on(
    service: Service, tmp_path: Path, proxy: str, name: str
) -> None:
    if not is_installed(proxy):
        pytest.skip(f"{proxy} is not installed: .ci/run does")
    with proxied(proxy, service.url, tmp_path) as port:
        answer = asked(BY_NAME[name], service, tmp_path, f"http://127.0.0.1:{port}")

    assert set(answer["probabilities"]) == {"no", "yes"}


def test_the_page_has_each_client_and_proxy() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    named = {row.split("|")[1].strip().strip("`") for row in rows}

    assert {*BY_NAME, *PROXIES} <= named
    assert len({*BY_NAME, *PROXIES}) >= 20
