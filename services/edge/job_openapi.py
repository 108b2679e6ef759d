"""The paths of jobs in the OpenAPI document."""

from collections.abc import Mapping
from typing import Any

import msgspec

from contracts.json_schema import JsonSchema
from services.edge.job_routes import LIST_JOBS, MAX_LIST_JOBS, JobList
from services.jobs.job import JobStatus
from services.jobs.results import MAX_PAGE_ROWS, MEDIA_TYPES, PAGE_ROWS
from services.protocols.wire_protocol import SCHEMA_REF

TAG = "Jobs"
JOB_ID: JsonSchema = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "The id that the service gave, or your own",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._~-]{0,63}$"},
}
CALLBACK: JsonSchema = {
    "name": "callback",
    "in": "query",
    "required": False,
    "description": "URL that is notified when the job has ended; its host must be allowed",
    "schema": {"type": "string", "format": "uri"},
}


class ResultPage(msgspec.Struct, frozen=True):
    """A page of results as JSON: predictions and errors in the order of the rows."""

    results: list[dict[str, Any]]
    rows: int
    next: str | None


def job_types() -> tuple[type[msgspec.Struct], ...]:
    """The types whose schemas the paths refer to."""
    return (JobStatus, JobList, ResultPage)


def job_paths(bodies: Mapping[str, JsonSchema], refusals: JsonSchema) -> JsonSchema:
    """The items of the paths of jobs. `bodies`: by model, the content of a request body.

    `refusals`: the responses to refused requests, by status.
    """
    listing = _operation("Open jobs, oldest first.", refusals, {"200": _ok(JobList)})
    results = _operation("Results of a finished job, in pages.", refusals, {"200": _page()})
    found = _operation("State and progress of a job.", refusals, {"200": _ok(JobStatus)})
    cancelled = _operation("Cancel an open job.", refusals, {"200": _ok(JobStatus)})
    put = _operation(
        "Submit a job under an id of your own; repeating the request changes nothing.",
        refusals,
        {"200": _ok(JobStatus), "202": _accepted()},
    )
    put["requestBody"] = {"required": True, "content": _any_content(bodies)}
    model = _model_parameter(sorted(bodies))
    return {
        "/jobs": {"get": listing | {"parameters": _paging(LIST_JOBS, MAX_LIST_JOBS)}},
        "/jobs/{id}": {
            "get": found | {"parameters": [JOB_ID]},
            "put": put | {"parameters": [JOB_ID, model, CALLBACK]},
            "delete": cancelled | {"parameters": [JOB_ID]},
        },
        "/jobs/{id}/results": {
            "get": results | {"parameters": [JOB_ID, *_paging(PAGE_ROWS, MAX_PAGE_ROWS)]}
        },
        **{
            f"/models/{name}/jobs": {"post": _submission(name, content, refusals)}
            for name, content in bodies.items()
        },
    }


def _submission(name: str, content: JsonSchema, refusals: JsonSchema) -> JsonSchema:
    operation = _operation(
        f"{name}: accept rows now, score them later.", refusals, {"202": _accepted()}
    )
    body = {"required": True, "content": content}
    return operation | {"requestBody": body, "parameters": [CALLBACK]}


def _operation(summary: str, refusals: JsonSchema, responses: JsonSchema) -> JsonSchema:
    return {"summary": summary, "tags": [TAG], "responses": {**responses, **refusals}}


def _ok(kind: type[msgspec.Struct]) -> JsonSchema:
    schema = {"$ref": SCHEMA_REF.format(name=kind.__name__)}
    return {"description": "OK", "content": {"application/json": {"schema": schema}}}


def _accepted() -> JsonSchema:
    location = {"description": "Path of the job", "schema": {"type": "string"}}
    return _ok(JobStatus) | {
        "description": "Accepted: the job is on the disk",
        "headers": {"location": location},
    }


def _page() -> JsonSchema:
    content = {
        media_type.decode(): {"schema": {"type": "string", "format": "binary"}}
        for media_type in MEDIA_TYPES.values()
    }
    schema = {"$ref": SCHEMA_REF.format(name=ResultPage.__name__)}
    return {"description": "OK", "content": content | {"application/json": {"schema": schema}}}


def _paging(default: int, maximum: int) -> list[JsonSchema]:
    limit = {"type": "integer", "minimum": 1, "maximum": maximum, "default": default}
    return [
        {
            "name": "cursor",
            "in": "query",
            "required": False,
            "description": "`next` of the previous page",
            "schema": {"type": "string", "pattern": "^[0-9]{1,18}$"},
        },
        {"name": "limit", "in": "query", "required": False, "schema": limit},
    ]


def _model_parameter(names: list[str]) -> JsonSchema:
    return {
        "name": "model",
        "in": "query",
        "required": len(names) > 1,
        "description": "The model that scores the rows",
        "schema": {"type": "string", "enum": names},
    }


def _any_content(bodies: Mapping[str, JsonSchema]) -> JsonSchema:
    """The content of a body for any of the models."""
    media_types = {name for content in bodies.values() for name in content}
    return {
        name: {"schema": {"anyOf": [c[name]["schema"] for c in bodies.values() if name in c]}}
        for name in sorted(media_types)
    }
