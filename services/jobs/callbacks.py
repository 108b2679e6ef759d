"""Notifications of jobs that have ended: signed, retried, and to hosts that the settings allow.

Headers and signature are those of Standard Webhooks
(https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md), so
that its libraries verify them. A client names a URL, so the service would send requests wherever
clients like: only the allowed hosts, no redirects, no credentials.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import ssl
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from urllib.parse import SplitResult, urlsplit

import msgspec

from contracts.errors import InvalidSetting
from contracts.schema import Violation
from services.faults import Fault
from services.inference.json_body import invalid_request
from services.jobs.job import Job, status_of
from services.jobs.store import Callback, JobLeases
from services.settings import ServiceSettings

MAX_CALLBACK_CHARS = 2000
CALLBACK_TIMEOUT_S = 10.0
"""For an attempt as a whole: a receiver that answers byte by byte holds nothing up."""
MAX_CONCURRENT_CALLBACKS = 32
MAX_ORIGIN_CALLBACKS = 4
"""In flight to one host: one that hangs leaves the others to those of other hosts."""
CALLBACK_INTERVAL_S = 1.0
SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix of secrets
MIN_SECRET_BYTES = 16
PORTS = {"http": 80, "https": 443}
STATUS_PARTS = 2

logger = logging.getLogger("slipway.jobs")


def allowed_hosts(settings: ServiceSettings) -> frozenset[str]:
    """The hosts, or `host:port`, to which notifications may go; none by default."""
    names = settings.jobs_callback_hosts.lower().split(",")
    return frozenset(name.strip() for name in names if name.strip())


def signing_key(settings: ServiceSettings) -> bytes:
    """The key that signs notifications; empty where there are none.

    Raises:
        InvalidSetting: hosts are allowed, and the secret is missing or no base 64.

    """
    if not allowed_hosts(settings):
        return b""
    text = settings.jobs_callback_secret.reveal()
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) < MIN_SECRET_BYTES:
        raise InvalidSetting(
            "SLIPWAY_SERVICE_JOBS_CALLBACK_SECRET: expected whsec_ and at least "
            f"{MIN_SECRET_BYTES} bytes in base 64, got something else or nothing",
            remedy="whsec_$(openssl rand -base64 32), or unset SLIPWAY_SERVICE_JOBS_CALLBACK_HOSTS",
        )
    return key


def check_callback(url: str, hosts: frozenset[str]) -> str:
    """The URL that a client wants to be notified at.

    Raises:
        Fault: `invalid_request`; it is no such URL, or its host is not allowed.

    """
    if not url:
        return ""
    expected = "a URL of an allowed host (SLIPWAY_SERVICE_JOBS_CALLBACK_HOSTS)"
    refused = invalid_request([Violation("query.callback", expected, repr(url[:80]))])
    if len(url) > MAX_CALLBACK_CHARS or not url.isascii() or not url.isprintable() or " " in url:
        raise refused
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as err:
        raise refused from err
    host = (parts.hostname or "").lower()
    names = {host, f"{host}:{port or PORTS.get(parts.scheme, 0)}"}
    if parts.scheme not in PORTS or "@" in parts.netloc or not host or hosts.isdisjoint(names):
        raise refused
    if port not in {None, PORTS[parts.scheme]} and f"{host}:{port}" not in hosts:
        raise refused
    return url


class Notifier:
    """Sends the notifications of a store, in tasks of its own: no job waits for one."""

    def __init__(self, leases: JobLeases, settings: ServiceSettings) -> None:
        self._leases = leases
        self._hosts = allowed_hosts(settings)
        self._key = signing_key(settings)
        self._busy: Counter[str] = Counter()
        self._freed = asyncio.Event()

    async def run(self) -> None:
        """Send what is due, again and again."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._freed.clear()
                for callback in await self._due():
                    self._busy[callback.origin] += 1
                    tasks.create_task(self._notify(callback))
                try:
                    async with asyncio.timeout(CALLBACK_INTERVAL_S):
                        await self._freed.wait()
                except TimeoutError:
                    pass  # something may have become due

    async def _due(self) -> Sequence[Callback]:
        """Notifications that are due, as many as may be in flight with those that are."""
        n_free = MAX_CONCURRENT_CALLBACKS - self._busy.total()
        if n_free <= 0:
            return ()
        take = partial(
            self._leases.due_callbacks,
            n_free,
            per_origin=MAX_ORIGIN_CALLBACKS,
            busy=dict(self._busy),
        )
        try:
            return await asyncio.to_thread(take)
        except Fault as fault:
            logger.warning("notifications wait: %s", fault.message)
            return ()

    async def _notify(self, callback: Callback) -> None:
        job = callback.job
        reason = await self._attempt(job)
        if reason:
            logger.warning("job %s: its notification failed: %s", job.id, reason)
        try:
            await asyncio.to_thread(self._leases.end_callback, callback, is_delivered=not reason)
        except Fault as fault:
            logger.warning("job %s: its notification is sent again: %s", job.id, fault.message)
        finally:
            # An origin that is not busy leaves no entry: clients choose their URLs.
            self._busy -= Counter((callback.origin,))
            self._freed.set()

    async def _attempt(self, job: Job) -> str:
        """Why a notification did not arrive; empty if it did."""
        try:
            check_callback(job.callback, self._hosts)  # the settings may have changed since
            body = notification(job)
            headers = signed_headers(self._key, job, body, int(time.time()))
            async with asyncio.timeout(CALLBACK_TIMEOUT_S):
                status = await post(urlsplit(job.callback), headers, body)
        except (OSError, TimeoutError, ValueError, EOFError, Fault) as err:
            return str(err) or type(err).__name__
        return "" if status // 100 == STATUS_PARTS else f"status {status}"


def notification(job: Job) -> bytes:
    """The body: the kind of event, and the job as `GET /jobs/{id}` answers it."""
    status = status_of(job, job.ended_at or job.created_at)
    return msgspec.json.encode({"type": f"job.{job.state}", "data": status})


def signed_headers(key: bytes, job: Job, body: bytes, timestamp: int) -> Mapping[str, str]:
    """The headers of Standard Webhooks; the id is the same in each attempt."""
    message_id = f"msg_{job.digest[:16]}_{job.seq}"
    signed = b"%b.%d.%b" % (message_id.encode(), timestamp, body)
    signature = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{signature}",
    }


async def post(url: SplitResult, headers: Mapping[str, str], body: bytes) -> int:
    """Send a body; returns the status of the response, of which nothing else is read.

    Raises:
        OSError: there is no connection.
        ValueError: what answers is no HTTP.

    """
    is_secure = url.scheme == "https"
    reader, writer = await asyncio.open_connection(
        url.hostname,
        url.port or PORTS[url.scheme],
        ssl=ssl.create_default_context() if is_secure else None,
    )
    try:
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        lines = [f"POST {target} HTTP/1.1", f"host: {url.netloc}", "connection: close"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        lines.append(f"content-length: {len(body)}")
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()
        line = await reader.readline()
    finally:
        writer.close()
    parts = line.split()
    if len(parts) < STATUS_PARTS or not parts[0].startswith(b"HTTP/1.") or not parts[1].isdigit():
        raise ValueError(f"expected an HTTP response, got {line[:40]!r}")
    return int(parts[1])
