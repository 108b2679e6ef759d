"""Lambda's events as requests, and answers as what Lambda expects of each.

Formats: function URLs and HTTP APIs (payload format 2.0), REST APIs and load balancers (1.0), and
direct calls, whose event is the body itself. Source: docs.aws.amazon.com/lambda,
docs.aws.amazon.com/apigateway.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from services.faults import STATUSES, Fault

HTTP_OK = 200


@dataclass(frozen=True)
class LambdaRequest:
    """An event. `path` is empty for a direct call, whose body decides what is asked.

    Names of `headers` are in lower case.
    """

    method: str
    path: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_direct(self) -> bool:
        """Whether the caller gets the answer itself, not an HTTP response."""
        return not self.path

    @property
    def media_type(self) -> str:
        """The media type of the body, without parameters."""
        given = self.headers.get("content-type", "application/json")
        return given.partition(";")[0].strip().lower()


@dataclass(frozen=True)
class LambdaAnswer:
    """An encoded answer and its HTTP status."""

    status: int
    body: bytes

    @classmethod
    def of_fault(cls, fault: Fault, body: bytes) -> "LambdaAnswer":
        """The answer to a request that is refused."""
        return cls(STATUSES[fault.code], body)


def request_of(event: object) -> LambdaRequest:
    """The request in an event.

    Raises:
        Fault: `invalid_request` or `invalid_coding` for what no caller of a function sends.

    """
    if not isinstance(event, dict):
        raise Fault("invalid_request", f"event: expected an object, got {type(event).__name__}")
    given = event.get("requestContext")
    context: Mapping[str, Any] = given if isinstance(given, dict) else {}
    http = context.get("http")
    if isinstance(http, dict) and isinstance(event.get("rawPath"), str):
        path = _without_stage(event["rawPath"], context.get("stage"))
        return _http_request(event, str(http.get("method", "")), path)
    if isinstance(event.get("httpMethod"), str) and isinstance(event.get("path"), str):
        return _http_request(event, event["httpMethod"], event["path"])
    # Infinity and lone surrogates stay what no JSON is, so that the decoder refuses them.
    text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    return LambdaRequest("POST", "", text.encode("utf-8", "surrogatepass"))


def event_answer(request: LambdaRequest, answer: LambdaAnswer) -> Any:
    """What the function returns: an HTTP response, or for a direct call the answer itself."""
    return msgspec.json.decode(answer.body) if request.is_direct else http_answer(answer)


def http_answer(answer: LambdaAnswer) -> dict[str, Any]:
    """An answer as an HTTP response."""
    return {
        "statusCode": answer.status,
        "headers": {"content-type": "application/json"},
        "body": answer.body.decode(),
        "isBase64Encoded": False,
    }


def _without_stage(path: str, stage: object) -> str:
    """The path without the stage of an HTTP API, which is in front unless it is `$default`.

    >>> _without_stage("/prod/models/loan/predict", "prod"), _without_stage("/ping", "$default")
    ('/models/loan/predict', '/ping')
    """
    prefix = f"/{stage}/"
    return path[len(prefix) - 1 :] if path.startswith(prefix) else path


def _http_request(event: Mapping[str, Any], method: str, path: str) -> LambdaRequest:
    # A load balancer sends one of the two.
    several = event.get("multiValueHeaders") or {}
    given = event.get("headers") or {name: values[-1] for name, values in several.items() if values}
    headers = {str(name).lower(): str(value) for name, value in given.items()}
    body = event.get("body") or ""
    if not isinstance(body, str):
        raise Fault("invalid_request", f"body: expected text, got {type(body).__name__}")
    if not event.get("isBase64Encoded"):
        return LambdaRequest(method, path, body.encode("utf-8", "surrogatepass"), headers)
    try:
        return LambdaRequest(method, path, base64.b64decode(body, validate=True), headers)
    except (binascii.Error, ValueError) as err:
        raise Fault("invalid_coding", "body: expected base64, got something else") from err
