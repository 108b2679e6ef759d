"""The operations page and the reports over HTTP, read-only, for `slipway board`.

The page is made again when it is loaded, but not more often than `MAX_LOAD` allows. On a loopback
address everybody on this machine may read it; elsewhere a key with the scope `admin` is required,
as for the service's metrics. Browsers ask for it as a password, with any name.
"""

import asyncio
import time
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from contracts.errors import PlatformError
from services.auth.guard import Guard, is_loopback
from services.faults import Fault

MIN_PAGE_AGE_S = 2.0
"""A page that is younger than this is sent again."""
MAX_LOAD = 0.1
"""The share of the time that may be spent on making the page."""
REFRESH_S = 60
"""Seconds after which a browser loads the page again."""
MAX_CONNECTIONS = 64
FILE_SUFFIXES = {".html": "text/html; charset=utf-8", ".json": "application/json"}
HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
}
SANDBOX = {"content-security-policy": "sandbox allow-scripts; connect-src 'none'"}
"""For reports, of which Evidently's have scripts: they cannot read the other pages."""

MakePage = Callable[[], str]
"""Makes the page; raises `PlatformError`."""


class PageCache:
    """The last page, or why there is none, for as long as it is young."""

    def __init__(self, make: MakePage) -> None:
        self._make = make
        self._lock = asyncio.Lock()
        self._page = ""
        self._error: PlatformError | None = None
        self._valid_until = 0.0

    async def page(self) -> str:
        """The page, made in a thread if the last one is too old; one at a time.

        Raises:
            PlatformError: it cannot be made.

        """
        async with self._lock:
            started = time.monotonic()
            if started >= self._valid_until:
                self._error = None
                try:
                    self._page = await asyncio.to_thread(self._make)
                except PlatformError as err:
                    self._error = err
                ended = time.monotonic()
                self._valid_until = ended + max(MIN_PAGE_AGE_S, (ended - started) / MAX_LOAD)
            if self._error is not None:
                raise self._error
            return self._page


class Board:
    """The application: the page at `/`, and below it the files of the folder of reports."""

    def __init__(self, make: MakePage, reports: Path, guard: Guard) -> None:
        self._cache = PageCache(make)
        self._reports = reports
        self._guard = guard
        self.application = Starlette(
            routes=[Route("/", self.index), Route("/{model}/{file}", self.report)]
        )

    async def index(self, request: Request) -> Response:
        """The operations page."""
        refusal = await self._refusal(request)
        if refusal is not None:
            return refusal
        try:
            page = await self._cache.page()
        except PlatformError as err:
            return PlainTextResponse(str(err), 503, {**HEADERS, "refresh": str(REFRESH_S)})
        return HTMLResponse(page, headers={**HEADERS, "refresh": str(REFRESH_S)})

    async def report(self, request: Request) -> Response:
        """A report of a model, or a decision."""
        refusal = await self._refusal(request)
        if refusal is not None:
            return refusal
        path = self._reports / request.path_params["model"] / request.path_params["file"]
        media_type = FILE_SUFFIXES.get(path.suffix)
        if media_type is None or not _is_file_in(path, self._reports):
            return PlainTextResponse("no such report", 404, HEADERS)
        return FileResponse(path, media_type=media_type, headers={**HEADERS, **SANDBOX})

    async def _refusal(self, request: Request) -> Response | None:
        """Why a request is refused; None if it is admitted."""
        if self._guard.is_off:
            # A page of another site whose name resolves to this machine must not read this one.
            if not _names_loopback(request.headers.get("host", "")):
                return PlainTextResponse("expected a loopback address as host", 403, HEADERS)
            return None
        try:
            await self._guard.aadmit(_with_bearer(request), "admin")
        except Fault as fault:
            if fault.code == "rate_limited":
                return PlainTextResponse(fault.message, 429, HEADERS)
            headers = {**HEADERS, "www-authenticate": 'Basic realm="slipway", charset="UTF-8"'}
            return PlainTextResponse(
                f"{fault.message}: a key with the scope admin is the password", 401, headers
            )
        return None


def serve_board(make: MakePage, reports: Path, guard: Guard, *, host: str, port: int) -> None:
    """Serve the page until the process is ended."""
    board = Board(make, reports, guard)
    uvicorn.run(
        board.application,
        host=host,
        port=port,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_keep_alive=5,
    )


def _is_file_in(path: Path, folder: Path) -> bool:
    """Whether a path, its links followed, is a regular file below a folder."""
    try:
        return path.is_file() and path.resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError):
        return False


def _names_loopback(host: str) -> bool:
    """Whether the header `Host` names a loopback address.

    >>> [_names_loopback(host) for host in ("localhost:3002", "[::1]:3002", "evil.example", "")]
    [True, True, False, False]
    """
    try:
        return is_loopback(urlsplit(f"//{host}").hostname)
    except ValueError:
        return False


def _with_bearer(request: Request) -> dict[bytes, bytes]:
    """The headers, with the password of a browser as the key."""
    headers = dict(request.headers.raw)
    scheme, _, encoded = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"basic":
        try:
            _, _, password = b64decode(encoded, validate=True).partition(b":")
        except (Base64Error, ValueError):
            password = b""
        headers[b"authorization"] = b"Bearer " + password
    return headers
