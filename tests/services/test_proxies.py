"""Behind nginx, HAProxy and Caddy no client ever receives another client's answer."""

import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.services.conftest import Service
from tests.services.http_client import GOOD
from tests.services.raw_connection import PATH, request
from tests.slipway.conftest import free_port

pytestmark = pytest.mark.slow

JSON = "application/json"
INNER = b"GET /models/pair HTTP/1.1\r\nHost: x\r\n\r\n"
READY_TIMEOUT_S = 30.0
N_ATTACKS = 25

NGINX = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  upstream service {{ server {upstream}; keepalive 4; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://service;
      proxy_http_version 1.1;
      proxy_request_buffering off;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
    }}
  }}
}}
"""
HAPROXY = """
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  http-reuse always
frontend front
  bind 127.0.0.1:{port}
  default_backend service
backend service
  server one {upstream}
"""
CADDY = """
{{
  admin off
  auto_https off
}}
http://127.0.0.1:{port} {{
  bind 127.0.0.1
  reverse_proxy {upstream}
}}
"""
PROXIES = {
    "nginx": (NGINX, ["nginx", "-p", "{folder}", "-e", "stderr", "-c", "{conf}"]),
    "haproxy": (HAPROXY, ["haproxy", "-db", "-f", "{conf}"]),
    "caddy": (CADDY, ["caddy", "run", "--adapter", "caddyfile", "--config", "{conf}"]),
}


@contextmanager
def proxied(name: str, service: Service, folder: Path) -> Iterator[int]:
    """A proxy before the service, on a port of its own."""
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed: .ci/run does")
    port, conf = free_port(), folder / f"{name}.conf"
    upstream = urlsplit(service.url).netloc
    text, command = PROXIES[name]
    conf.write_text(text.format(folder=folder, port=port, upstream=upstream))
    words = [part.format(folder=folder, conf=conf) for part in command]
    environ = {"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, env=environ)
    try:
        await_port(port, process, folder / "log")
        yield port
    finally:
        process.terminate()
        process.wait(20)


def await_port(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise AssertionError(log.read_text())


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


@pytest.mark.parametrize("name", PROXIES)
def test_no_client_receives_the_answer_to_another_clients_request(
    service: Service, tmp_path: Path, name: str
) -> None:
    with proxied(name, service, tmp_path) as port:
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
