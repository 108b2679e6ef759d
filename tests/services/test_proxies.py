"""Behind nginx, HAProxy and Caddy no client ever receives another client's answer."""

import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from benchmarks.serving.clients.proxies import is_installed, proxied
from tests.services.conftest import Service
from tests.services.http_client import GOOD
from tests.services.raw_connection import PATH, request

pytestmark = pytest.mark.slow

JSON = "application/json"
INNER = b"GET /models/pair HTTP/1.1\r\nHost: x\r\n\r\n"
N_ATTACKS = 25


def attack(port: int) -> None:
    """Send requests whose body a parser could take for the next request."""
    head = request(INNER, extra="Connection: Upgrade\r\nUpgrade: foo\r\n")[: -len(INNER)]
    for _ in range(N_ATTACKS):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 10) as attacker:
            attacker.settimeout(0.1)
            attacker.sendall(head)
            time.sleep(0.02)
            attacker.sendall(INNER)
            attacker.recv(9999)
            attacker.recv(9999)


@pytest.mark.parametrize("name", ["nginx", "haproxy", "caddy"])
def test_no_client_receives_the_answer_to_another_clients_request(
    service: Service, tmp_path: Path, name: str
) -> None:
    if not is_installed(name):
        pytest.skip(f"{name} is not installed: .ci/run does")
    with proxied(name, service.url, tmp_path) as port:
        attackers = [threading.Thread(target=attack, args=(port,)) for _ in range(2)]
        for attacker in attackers:
            attacker.start()
        url, n_answers = f"http://127.0.0.1:{port}{PATH}", 0
        with httpx.Client(timeout=30, trust_env=False) as client:
            while any(attacker.is_alive() for attacker in attackers) or n_answers < 50:
                answer = client.post(url, content=GOOD, headers={"content-type": JSON})
                assert answer.status_code == 200, answer.text
                assert set(answer.json()["probabilities"]) == {"no", "yes"}
                n_answers += 1
        for attacker in attackers:
            attacker.join()
