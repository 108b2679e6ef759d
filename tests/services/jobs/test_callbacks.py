"""Notifications: signed so that others verify them, retried, and only to allowed hosts."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from contracts.errors import InvalidSetting
from contracts.settings import Secret
from services.faults import Fault
from services.jobs import callbacks, sqlite_leases
from services.jobs.callbacks import Notifier, check_callback, signing_key
from services.jobs.sqlite_database import JobDatabase
from services.jobs.sqlite_leases import SqliteLeases
from services.jobs.sqlite_store import SqliteAcceptance
from services.settings import ServiceSettings
from tests.services.jobs.stores import claimed, new_job

KEY = b"0123456789abcdef0123456789abcdef"
SECRET = Secret("whsec_" + base64.b64encode(KEY).decode())


class Receiver:
    """A server that answers with these statuses, one after the other; 0 for no answer at all."""

    def __init__(self, *statuses: int) -> None:
        self._statuses = list(statuses)
        self.requests: list[tuple[dict[str, str], bytes]] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
        headers = dict(line.split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers["content-length"]))
        self.requests.append((headers, body))
        status = self._statuses.pop(0)
        if status:
            location = "location: http://127.0.0.1:1/\r\n"
            writer.write(f"HTTP/1.1 {status} x\r\n{location}content-length: 0\r\n\r\n".encode())
            await writer.drain()
        else:
            await reader.read()  # until the other side gives up
        writer.close()


def ending(
    folder: Path, receiver: Receiver, until: Callable[[SqliteAcceptance], bool]
) -> SqliteAcceptance:
    """The store after a job with a callback has failed, and a notifier ran until a claim holds."""
    database = JobDatabase(folder / "jobs.db")
    store = SqliteAcceptance(database, 60)
    leases = SqliteLeases(database, 60, 3, 60)

    async def run() -> None:
        server = await asyncio.start_server(receiver, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        settings = ServiceSettings(
            var=folder,
            jobs_callback_hosts=f"127.0.0.1:{port}",
            jobs_callback_secret=SECRET,
        )
        store.accept(new_job(callback=f"http://127.0.0.1:{port}/hook?x=1"), 9)
        leases.fail(claimed(leases), Fault("invalid_csv"))
        notifying = asyncio.create_task(Notifier(leases, settings).run())
        async with asyncio.timeout(20):
            while not until(store):  # noqa: ASYNC110 - what it waits for is in a database
                await asyncio.sleep(0.02)
        notifying.cancel()
        server.close()

    asyncio.run(run())
    return store


def state(store: SqliteAcceptance) -> str:
    return store.find("", "a").callback_state


def test_a_notification_is_signed_as_standard_webhooks_say(tmp_path: Path) -> None:
    receiver = Receiver(204)
    ending(tmp_path, receiver, lambda store: state(store) == "delivered")
    ((headers, body),) = receiver.requests
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    signature = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    event = json.loads(body)

    assert headers["webhook-signature"] == f"v1,{signature}"
    assert (event["type"], event["data"]["id"]) == ("job.failed", "a")
    assert event["data"]["error"]["code"] == "invalid_csv"


def test_a_failed_notification_is_repeated_with_the_same_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A redirect, an error, and a receiver that never answers."""
    monkeypatch.setattr(sqlite_leases, "CALLBACK_PAUSES_S", (0.05,) * 6)
    monkeypatch.setattr(callbacks, "CALLBACK_TIMEOUT_S", 0.3)
    monkeypatch.setattr(callbacks, "CALLBACK_INTERVAL_S", 0.02)
    receiver = Receiver(302, 500, 0, 200)
    ending(tmp_path, receiver, lambda store: state(store) == "delivered")

    assert len(receiver.requests) == 4
    assert len({headers["webhook-id"] for headers, _ in receiver.requests}) == 1


def test_a_notification_that_never_arrives_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_leases, "CALLBACK_PAUSES_S", (0.01, 0.01))
    monkeypatch.setattr(callbacks, "CALLBACK_INTERVAL_S", 0.02)
    receiver = Receiver(500, 500, 500)
    ending(tmp_path, receiver, lambda store: state(store) == "given_up")

    assert len(receiver.requests) == 3


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest", "http://hook.example:81/", "ftp://hook.example/",
        "http://user@hook.example/", "http://hook.example@evil.example/", "//hook.example/",
        "http://hook.example.evil.example/", "http://hook.example:x/", "http://[::1/",
        "http://hook.example/\r\nx: y", "http://hook.example/" + "x" * 3000, "hook.example",
    ],
    ids=range(12),
)  # fmt: skip
def test_only_allowed_hosts_are_notified(url: str) -> None:
    with pytest.raises(Fault) as caught:
        check_callback(url, frozenset({"hook.example"}))

    assert caught.value.code == "invalid_request"


def test_allowed_hosts_may_name_a_port() -> None:
    hosts = frozenset({"hook.example", "127.0.0.1:8000"})
    for url in ("https://hook.example/x", "http://HOOK.example:80/", "http://127.0.0.1:8000/y"):
        assert check_callback(url, hosts) == url
    with pytest.raises(Fault):
        check_callback("http://127.0.0.1/y", hosts)


@pytest.mark.parametrize("secret", ["", "whsec_short", "whsec_%%%", "whsec_c2hvcnQ="])
def test_hosts_without_a_key_stop_the_start(secret: str) -> None:
    settings = ServiceSettings(jobs_callback_hosts="a", jobs_callback_secret=Secret(secret))
    with pytest.raises(InvalidSetting, match="whsec_") as caught:
        signing_key(settings)

    assert not secret or secret not in str(caught.value)


def test_a_host_that_hangs_delays_no_other(tmp_path: Path) -> None:
    """It has hundreds of notifications before the first one of the other host."""
    database = JobDatabase(tmp_path / "jobs.db")
    store, leases = SqliteAcceptance(database, 60), SqliteLeases(database, 60, 3, 60)
    hanging, fair = Receiver(*[0] * 300), Receiver(204)

    async def run() -> None:
        servers = [await asyncio.start_server(each, "127.0.0.1", 0) for each in (hanging, fair)]
        ports = [server.sockets[0].getsockname()[1] for server in servers]
        settings = ServiceSettings(
            var=tmp_path,
            jobs_callback_hosts=",".join(f"127.0.0.1:{port}" for port in ports),
            jobs_callback_secret=SECRET,
        )
        urls = [f"http://127.0.0.1:{ports[0]}/hook"] * 200 + [f"http://127.0.0.1:{ports[1]}"]
        for number, url in enumerate(urls):
            store.accept(new_job(str(number), callback=url), 999)
            leases.fail(claimed(leases), Fault("invalid_csv"))
        notifying = asyncio.create_task(Notifier(leases, settings).run())
        async with asyncio.timeout(callbacks.CALLBACK_TIMEOUT_S):
            while not fair.requests:  # noqa: ASYNC110 - another task fills it
                await asyncio.sleep(0.02)
        notifying.cancel()
        with suppress(asyncio.CancelledError):
            await notifying
        for server in servers:
            server.close()

    asyncio.run(run())

    assert len(hanging.requests) <= callbacks.MAX_ORIGIN_CALLBACKS
