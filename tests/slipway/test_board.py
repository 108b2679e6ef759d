"""`slipway board` over HTTP: read-only, for this machine or for holders of a key."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from base64 import b64encode
from pathlib import Path

import httpx
import pytest

from contracts.errors import RegistryUnreachable
from services.auth.guard import Guard
from services.auth.keys import create_key
from services.settings import ServiceSettings
from slipway.board_server import Board, PageCache
from tests.slipway.conftest import ROOT, free_port

LOCAL = "http://127.0.0.1"


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    folder = tmp_path / "reports"
    (folder / "loan").mkdir(parents=True)
    (folder / "loan" / "w.html").write_text("<p>report</p>")
    (folder / "loan" / "notes.txt").write_text("no report")
    (tmp_path / "keys.json").write_text("{}")
    (folder / "loan" / "out.html").symlink_to(tmp_path / "keys.json")
    return folder


def asked(board: Board, method: str, path: str, headers: dict[str, str]) -> httpx.Response:
    """The answer of the application, without a socket."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(board.application)
        async with httpx.AsyncClient(transport=transport, base_url=LOCAL) as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(ask())


def answer(
    reports: Path,
    path: str = "/",
    method: str = "GET",
    headers: dict[str, str] | None = None,
    **settings: str,
) -> httpx.Response:
    guard = Guard(ServiceSettings(**({"keys": "off"} | settings)))  # type: ignore[arg-type]  # texts
    board = Board(lambda: "<p>page</p>", reports, guard)
    return asked(board, method, path, headers or {})


def test_the_page_and_the_reports_are_served(reports: Path) -> None:
    page, report = answer(reports), answer(reports, "/loan/w.html")

    assert (page.status_code, page.text) == (200, "<p>page</p>")
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["refresh"] == "60"
    assert (report.status_code, report.text) == (200, "<p>report</p>")
    assert report.headers["content-security-policy"].startswith("sandbox")


@pytest.mark.parametrize(
    "path",
    [
        "/loan/notes.txt",
        "/loan/out.html",
        "/loan/none.html",
        "/..%2Fkeys.json",
        "/loan/..%2F..%2Fkeys.json",
        "/loan/%00.html",
    ],
)
def test_nothing_else_can_be_read(reports: Path, path: str) -> None:
    assert answer(reports, path).status_code == 404


def test_nothing_can_be_written(reports: Path) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert answer(reports, method=method).status_code == 405


def test_a_name_that_another_site_gave_this_machine_is_refused(reports: Path) -> None:
    """DNS rebinding: the browser sends the name of the other site."""
    answers = [answer(reports, headers={"host": host}) for host in ("evil.example", "a@b", "")]

    assert [each.status_code for each in answers] == [403, 403, 403]


def test_elsewhere_a_key_of_an_administrator_is_the_password(reports: Path, tmp_path: Path) -> None:
    ring = tmp_path / "ring.json"
    _, admin = create_key(ring, "ada", ("admin",))
    _, caller = create_key(ring, "app", ("predict",))

    def basic(key: str) -> dict[str, str]:
        return {"authorization": f"Basic {b64encode(f'x:{key}'.encode()).decode()}"}

    statuses = [
        [
            answer(reports, path, headers=each, keys="required", keys_file=str(ring)).status_code
            for each in ({}, {"authorization": "Basic !"}, basic("no"), basic(caller), basic(admin))
        ]
        for path in ("/", "/loan/w.html")
    ]
    refused = answer(reports, keys="required", keys_file=str(ring))

    assert statuses == [[401, 401, 401, 401, 200]] * 2
    assert refused.headers["www-authenticate"].startswith("Basic ")


def test_a_page_is_made_once_while_it_is_young() -> None:
    made: list[str] = []

    def make() -> str:
        made.append("page")
        time.sleep(0.05)
        return "page"

    async def ask() -> list[str]:
        cache = PageCache(make)
        return list(await asyncio.gather(*(cache.page() for _ in range(3))))

    assert asyncio.run(ask()) == ["page"] * 3
    assert made == ["page"]


def test_what_cannot_be_made_is_said(reports: Path) -> None:
    def make() -> str:
        raise RegistryUnreachable("no answer", remedy="slipway doctor")

    board = Board(make, reports, Guard(ServiceSettings(keys="off")))
    found = asked(board, "GET", "/", {})

    assert found.status_code == 503
    assert "help: slipway doctor" in found.text


@pytest.fixture
def elsewhere(tmp_path: Path) -> dict[str, str]:
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("SLIPWAY_", "MLFLOW_T"))}
    return environ | {"PYTHONPATH": str(ROOT), "SLIPWAY_VAR": str(tmp_path / "var")}


@pytest.mark.slow
def test_the_command_serves_until_it_is_interrupted(
    tmp_path: Path, elsewhere: dict[str, str]
) -> None:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "slipway", "board", "--port", str(port), "--url", "http://127.0.0.1:1"],
        cwd=tmp_path,
        env=elsewhere,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                page = httpx.get(f"{LOCAL}:{port}/", timeout=60)
                break
            except httpx.TransportError:
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.2)
    finally:
        process.send_signal(signal.SIGINT)
        text = process.communicate(timeout=30)[0].decode()

    assert page.status_code == 200
    assert "No model yet" in page.text
    assert re.search(r"no service answers at http://127.0.0.1:1\b", page.text)
    assert "Traceback" not in text


@pytest.mark.slow
def test_off_loopback_it_starts_only_with_keys(tmp_path: Path, elsewhere: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "slipway", "board", "--host", "0.0.0.0"],  # noqa: S104 - refused
        cwd=tmp_path,
        env=elsewhere,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert "expected an API key" in done.stderr
    assert "slipway keys create" in done.stderr
