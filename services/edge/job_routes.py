"""The paths of jobs: asynchronous inference over HTTP.

`POST /models/{name}/jobs`, `PUT`, `GET` and `DELETE /jobs/{id}`, `GET /jobs`,
`GET /jobs/{id}/results`, and the batch route for a client that prefers an answer later.
"""

import asyncio
import re
import time
from collections.abc import Mapping
from typing import Literal
from urllib.parse import parse_qsl

import msgspec

from contracts.schema import Violation
from services.edge.asgi import ASGIScope, Headers, Receive
from services.edge.body import BodyReader
from services.edge.codings import coding_of, unpacked
from services.edge.preferences import RESPOND_ASYNC, accepted_media_type, prefers_async
from services.edge.request_content import media_type_of
from services.edge.response import Response
from services.edge.statuses import HttpFault, Pairs
from services.faults import MAX_SHOWN_CHARS, Fault
from services.inference.json_body import invalid_request
from services.jobs.job import InputKind, Job, JobStatus, check_job_id, new_job_id, status_of
from services.jobs.queue import JobQueue
from services.jobs.results import (
    MAX_PAGE_ROWS,
    MEDIA_TYPES,
    PAGE_ROWS,
    next_row,
    page_renderer,
)
from services.protocols.wire_protocol import CSV, JSON
from services.serving.repository import ModelRepository
from services.settings import ServiceSettings

JobOperation = Literal["list", "job", "results", "submit", "batch"]
JOB_METHODS: Mapping[JobOperation, tuple[str, ...]] = {
    "list": ("GET", "HEAD", "OPTIONS"),
    "job": ("GET", "HEAD", "PUT", "DELETE", "OPTIONS"),
    "results": ("GET", "HEAD", "OPTIONS"),
    "submit": ("POST", "OPTIONS"),
    "batch": ("POST", "OPTIONS"),
}
QUERY: Mapping[JobOperation, frozenset[str]] = {
    "list": frozenset({"cursor", "limit"}),
    "job": frozenset({"model", "callback"}),
    "results": frozenset({"cursor", "limit"}),
    "submit": frozenset({"callback"}),
    "batch": frozenset({"callback"}),
}
"""The parameters that each operation reads."""
KINDS: Mapping[bytes, InputKind] = {JSON: "json", CSV: "csv"}
LIST_JOBS, MAX_LIST_JOBS = 100, 1000
"""Jobs of a page if the client names no number, and at most."""
MAX_QUERY_FIELDS = 16
MAX_CURSOR_DIGITS = 18
NO_CONTENT, ACCEPTED, OK = 204, 202, 200
_PATHS: tuple[tuple[re.Pattern[str], JobOperation], ...] = (
    (re.compile(r"/jobs"), "list"),
    (re.compile(r"/jobs/(?P<id>[^/]+)"), "job"),
    (re.compile(r"/jobs/(?P<id>[^/]+)/results"), "results"),
    (re.compile(r"/models/(?P<model>[^/]+)/jobs"), "submit"),
)
_BATCH = re.compile(r"(?:/models/(?P<model>[^/]+))?/predict/batch")
_encode = msgspec.json.Encoder().encode


class JobList(msgspec.Struct, frozen=True):
    """What `GET /jobs` answers: open jobs, and the cursor of the next page."""

    jobs: list[JobStatus]
    next: str | None


class JobCall(msgspec.Struct, frozen=True):
    """A request for a path of jobs: what is asked, and the parts of the path."""

    operation: JobOperation
    model: str = ""
    id: str = ""


class JobRoutes:
    """Answers the paths of jobs."""

    def __init__(
        self, queue: JobQueue, repository: ModelRepository, settings: ServiceSettings
    ) -> None:
        self._queue = queue
        self._repository = repository
        self._max_bytes = settings.jobs_body_bytes
        self._read_body = BodyReader(settings.jobs_body_bytes, settings.body_timeout_s).read

    def find(self, path: str, headers: Headers) -> JobCall | None:
        """What a path asks of jobs; None if it is another's."""
        for pattern, operation in _PATHS:
            if found := pattern.fullmatch(path):
                return JobCall(operation, **found.groupdict())
        if b"prefer" in headers and prefers_async(headers) and (found := _BATCH.fullmatch(path)):
            return JobCall("batch", found["model"] or "")
        return None

    async def answer(
        self, call: JobCall, scope: ASGIScope, receive: Receive, headers: Headers, owner: str
    ) -> Response:
        """The response to a request of the key `owner`.

        Raises:
            Fault: the request is refused.
            ClientLeft: nobody waits for the response any more.

        """
        method = _method(scope["method"], call.operation)
        if method == "OPTIONS":
            return Response(NO_CONTENT, b"", [_allowed(call.operation)])
        query = _query(scope, call.operation)
        if call.operation == "list":
            return await self._list(owner, query)
        if call.operation == "results":
            return await self._results(owner, check_job_id(call.id), query, headers)
        if call.operation == "job":
            return await self._job(method, check_job_id(call.id), query, receive, headers, owner)
        job = await self._accept(owner, new_job_id(), call.model, query, receive, headers)
        applied = [(b"preference-applied", RESPOND_ASYNC)] if prefers_async(headers) else []
        return _status(job, ACCEPTED, applied)

    async def _job(
        self,
        method: str,
        job_id: str,
        query: Mapping[str, str],
        receive: Receive,
        headers: Headers,
        owner: str,
    ) -> Response:
        """The response to a request for one job."""
        if method == "GET":
            return _status(await self._queue.find(owner, job_id), OK)
        if method == "DELETE":
            return _status(await self._queue.cancel(owner, job_id), OK)
        model = query.get("model", "")
        job = await self._accept(owner, job_id, model, query, receive, headers)
        return _status(job, ACCEPTED if job.is_open else OK)

    async def _accept(
        self,
        owner: str,
        job_id: str,
        model: str,
        query: Mapping[str, str],
        receive: Receive,
        headers: Headers,
    ) -> Job:
        name = self._model(model)
        kind = _kind(headers)
        coding = coding_of(headers)
        body = await self._read_body(receive, headers)
        if coding:
            body = await asyncio.to_thread(unpacked, body, coding, self._max_bytes)
        callback = query.get("callback", "")
        return await self._queue.accept(owner, job_id, name, kind, body, callback)

    def _model(self, name: str) -> str:
        """The model of a job, which a request may leave out if there is only one."""
        models = self._repository.models
        if not name and len(models) == 1:
            return next(iter(models))
        if not name:
            expected = f"one of {', '.join(sorted(models)) or 'none'}"
            raise invalid_request([Violation("query.model", expected, "nothing")])
        self._repository.model(name)
        return name

    async def _list(self, owner: str, query: Mapping[str, str]) -> Response:
        limit = _number(query, "limit", LIST_JOBS, 1, MAX_LIST_JOBS)
        page = await self._queue.list_open(owner, _number(query, "cursor", 0), limit)
        now = time.time()
        cursor = None if page.next is None else str(page.next)
        body = _encode(JobList([status_of(job, now) for job in page.jobs], cursor))
        return Response(OK, body, _next_link("/jobs", cursor, limit))

    async def _results(
        self, owner: str, job_id: str, query: Mapping[str, str], headers: Headers
    ) -> Response:
        forms = {media_type: form for form, media_type in MEDIA_TYPES.items()}
        media_type = accepted_media_type(headers, tuple(forms))
        limit = _number(query, "limit", PAGE_ROWS, 1, MAX_PAGE_ROWS)
        first_row = _number(query, "cursor", 0)
        job = await self._queue.find(owner, job_id)
        render = page_renderer(forms[media_type], job, first_row, limit)
        body = await self._queue.results(job, first_row, limit, render)
        following = next_row(job, first_row, limit)
        link = _next_link(
            f"/jobs/{job_id}/results", None if following is None else str(following), limit
        )
        return Response(OK, body, [*link, (b"vary", b"accept")], media_type)


def _method(method: str, operation: JobOperation) -> str:
    """The method of a request; HEAD is GET without its body, which nobody sends."""
    if method not in JOB_METHODS[operation]:
        expected = ", ".join(JOB_METHODS[operation])
        message = f"method: expected one of {expected}, got {method[:MAX_SHOWN_CHARS]}"
        raise HttpFault("method_not_allowed", message, headers=[_allowed(operation)])
    return "GET" if method == "HEAD" else method


def _allowed(operation: JobOperation) -> tuple[bytes, bytes]:
    return b"allow", ", ".join(JOB_METHODS[operation]).encode()


def _status(job: Job, status: int, headers: Pairs = ()) -> Response:
    location = [(b"location", f"/jobs/{job.id}".encode())] if status == ACCEPTED else []
    return Response(status, _encode(status_of(job, time.time())), [*location, *headers])


def _kind(headers: Headers) -> InputKind:
    media_type = media_type_of(headers)
    if media_type not in KINDS:
        expected = b" or ".join(KINDS).decode()
        got = repr(headers[b"content-type"].decode("latin-1")[:MAX_SHOWN_CHARS])
        message = f"content-type: expected {expected} in UTF-8, got {got}"
        raise Fault("unsupported_media_type", message)
    return KINDS[media_type]


def _query(scope: ASGIScope, operation: JobOperation) -> dict[str, str]:
    """The parameters of a request, each known and given once."""
    text = scope["query_string"].decode("latin-1")
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)
    except ValueError as err:
        raise invalid_request(
            [Violation("query", f"at most {MAX_QUERY_FIELDS} parameters", "more")]
        ) from err
    known = QUERY[operation]
    query = dict(pairs)
    expected = " or ".join(sorted(known)) or "no parameter"
    unknown = [Violation(f"query.{name}", expected, "it") for name in query if name not in known]
    if len(query) < len(pairs):
        unknown.append(Violation("query", "each parameter once", "one twice"))
    if unknown:
        raise invalid_request(unknown)
    return query


def _number(
    query: Mapping[str, str], name: str, default: int, low: int = 0, high: int | None = None
) -> int:
    """A whole number of the query, from `low` to `high`."""
    text = query.get(name)
    if text is None:
        return default
    number = (
        int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_CURSOR_DIGITS else -1
    )
    if number < low or (high is not None and number > high):
        expected = f"a whole number {low}..{high}" if high else "a cursor of an earlier page"
        raise invalid_request([Violation(f"query.{name}", expected, repr(text[:MAX_SHOWN_CHARS]))])
    return number


def _next_link(path: str, cursor: str | None, limit: int) -> Pairs:
    """The link to the next page (RFC 8288), if there is one."""
    if cursor is None:
        return []
    return [(b"link", f'<{path}?cursor={cursor}&limit={limit}>; rel="next"'.encode())]
