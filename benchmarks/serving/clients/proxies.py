"""nginx, HAProxy and Caddy before a service, each with a configuration like its manual's."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.serving.server import free_port
from contracts.errors import PlatformError

READY_TIMEOUT_S = 30.0

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
NGINX_DEFAULT = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port};
    location / {{ proxy_pass http://{upstream}; }}
  }}
}}
"""
"""HTTP/1.0 and a connection per request: what `proxy_pass` alone does."""
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
_NGINX_COMMAND = ["nginx", "-p", "{folder}", "-e", "stderr", "-c", "{conf}"]
PROXIES = {
    "nginx-default": (NGINX_DEFAULT, _NGINX_COMMAND),
    "nginx": (NGINX, _NGINX_COMMAND),
    "haproxy": (HAPROXY, ["haproxy", "-db", "-f", "{conf}"]),
    "caddy": (CADDY, ["caddy", "run", "--adapter", "caddyfile", "--config", "{conf}"]),
}


def is_installed(name: str) -> bool:
    """Whether the program of a proxy is on the PATH."""
    return shutil.which(PROXIES[name][1][0]) is not None


@contextmanager
def proxied(name: str, url: str, folder: Path) -> Iterator[int]:
    """A proxy before the service at `url`, on a port of its own, which is the value.

    Raises:
        PlatformError: it does not start; the message has its log.

    """
    port, conf = free_port(), folder / f"{name}.conf"
    upstream = urlsplit(url).netloc
    text, command = PROXIES[name]
    conf.write_text(text.format(folder=folder, port=port, upstream=upstream))
    words = [part.format(folder=folder, conf=conf) for part in command]
    environ = {"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": str(folder)}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log, env=environ)
    try:
        _await_port(port, process, folder / "log")
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _await_port(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise PlatformError(
        f"{log.parent}: expected a proxy, got {log.read_text()}", remedy="read its log"
    )
