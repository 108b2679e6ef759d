"""Why a request is refused: a code, a message and the violations, the same on every transport.

The transport decides how a code is written there: `services.edge.statuses` maps it to HTTP.
"""

from collections.abc import Mapping, Sequence

from contracts.schema import Violation

MAX_SHOWN_CHARS = 80
"""At most this much of a value that a client sent is repeated in a message."""

FAULTS: Mapping[str, str] = {
    "invalid_http": "the request is not HTTP/1.1 as RFC 9112 defines it",
    "invalid_json": "the body is not one JSON document in UTF-8",
    "invalid_csv": "the body is not a table as CSV in UTF-8",
    "invalid_coding": "the body is not in the coding that content-encoding names",
    "unauthorized": "an API key is needed: authorization: Bearer KEY",
    "forbidden": "this API key lacks the required scope",
    "unknown_model": "no such model is served",
    "not_found": "no such path",
    "method_not_allowed": "method not allowed on this path",
    "body_timeout": "the request did not arrive in time",
    "body_too_large": "the body, or the number of rows, is beyond the limit",
    "unsupported_media_type": "the body has a media type, charset or coding that is not read here",
    "invalid_request": "the features break the model's schema",
    "headers_too_large": "more or longer header lines than the limit",
    "rate_limited": "the API key was used too often; retry-after says when to try again",
    "prediction_failed": "the model failed on this row",
    "internal_error": "an unexpected error; the service's log has the details",
    "not_ready": "no verified model is warm, or the service is about to stop",
    "too_many_connections": "too many connections are open",
    "overloaded": "too many rows are waiting already",
    "deadline_exceeded": "the row waited too long for its model",
    "model_unavailable": "the process that scores the model ended, and is replaced",
    "label_log_unavailable": "the labels could not be written, so they are not accepted",
    "traffic_log_unavailable": "the prediction could not be recorded, so it is not given",
}
"""The meaning of each code."""


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
