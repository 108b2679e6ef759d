"""Why a request is refused: a code, a message and the violations, the same on every transport.

`services.edge` writes a code as an HTTP status, `services.grpc` as a status of gRPC.
"""

from collections.abc import Mapping, Sequence

from contracts.schema import Violation

MAX_SHOWN_CHARS = 80
"""At most this much of a value that a client sent is repeated in a message."""

FAULTS: Mapping[str, str] = {
    "invalid_http": "the request is not HTTP/1.1 as RFC 9112 defines it",
    "invalid_json": "the body is not one JSON document in UTF-8",
    "invalid_csv": "the body is not a table as CSV in UTF-8",
    "invalid_protobuf": "the message is not the protobuf message of its gRPC method",
    "invalid_coding": "the body is not in the coding that content-encoding names",
    "unauthorized": "an API key is needed: authorization: Bearer KEY",
    "forbidden": "this API key lacks the required scope",
    "unknown_model": "no such model is served",
    "unknown_job": "no such job of this API key: it never was, or it has expired",
    "not_found": "no such path",
    "method_not_allowed": "method not allowed on this path",
    "not_acceptable": "the response has no form that accept names",
    "body_timeout": "the request did not arrive in time",
    "job_conflict": "a job with this id and another body was accepted before",
    "job_unfinished": "the job has no results: it is not finished, has failed or was cancelled",
    "job_ended": "the job has ended, so it cannot be cancelled",
    "body_too_large": "the body, or the number of rows, is beyond the limit",
    "unsupported_media_type": "the body has a media type, charset or coding that is not read here",
    "invalid_request": "the features break the model's schema",
    "headers_too_large": "more or longer header lines than the limit",
    "rate_limited": "the API key was used too often; retry-after says when to try again",
    "too_many_jobs": "the API key has too many open jobs; retry-after says when to try again",
    "prediction_failed": "the model failed on this row",
    "internal_error": "an unexpected error; the service's log has the details",
    "not_ready": "no verified model is warm, or the service is about to stop",
    "too_many_connections": "too many connections are open",
    "overloaded": "too many rows are waiting already",
    "deadline_exceeded": "the row waited too long for its model",
    "model_unavailable": "the process that scores the model ended, and is replaced",
    "jobs_unavailable": "the store of jobs cannot be read or written; nothing was accepted",
    "label_log_unavailable": "the labels could not be written, so they are not accepted",
    "traffic_log_unavailable": "the prediction could not be recorded, so it is not given",
}
"""The meaning of each code."""
STATUSES: Mapping[str, int] = {
    "invalid_http": 400,
    "invalid_json": 400,
    "invalid_csv": 400,
    "invalid_protobuf": 400,
    "invalid_coding": 400,
    "unauthorized": 401,
    "forbidden": 403,
    "unknown_model": 404,
    "unknown_job": 404,
    "not_found": 404,
    "method_not_allowed": 405,
    "not_acceptable": 406,
    "body_timeout": 408,
    "job_conflict": 409,
    "job_unfinished": 409,
    "job_ended": 409,
    "body_too_large": 413,
    "unsupported_media_type": 415,
    "invalid_request": 422,
    "headers_too_large": 431,
    "rate_limited": 429,
    "too_many_jobs": 429,
    "prediction_failed": 500,
    "internal_error": 500,
    "not_ready": 503,
    "too_many_connections": 503,
    "overloaded": 503,
    "deadline_exceeded": 503,
    "model_unavailable": 503,
    "jobs_unavailable": 503,
    "label_log_unavailable": 503,
    "traffic_log_unavailable": 503,
}
"""The HTTP status of each code. Refused requests are counted by it on every transport."""


class Fault(Exception):
    """A request that is refused. `retry_after_s`: when to try again, where that is known."""

    def __init__(
        self,
        code: str,
        message: str = "",
        violations: Sequence[Violation] = (),
        *,
        retry_after_s: int | None = None,
    ) -> None:
        self.code = code
        self.message = message or FAULTS[code]
        self.violations = tuple(violations)
        self.retry_after_s = retry_after_s
        super().__init__(f"{code}: {self.message}")


class ModelUnavailable(Fault):
    """No process scored the rows. `may_retry`: whether asking again at once may help."""

    def __init__(self, message: str, *, may_retry: bool = False) -> None:
        super().__init__("model_unavailable", message)
        self.may_retry = may_retry


class InvalidKey(Fault):
    """`unauthorized` for a key that was presented and is wrong, expired or revoked."""

    def __init__(self) -> None:
        super().__init__(
            "unauthorized",
            "authorization: expected a valid key, got a wrong, expired or revoked one",
        )
