"""What can be wrong with a request: one table from code to HTTP status, one shape."""

from collections.abc import Mapping, Sequence

import msgspec

from contracts.schema import Violation

FAULTS: Mapping[str, tuple[int, str]] = {
    "invalid_json": (400, "the body is not one JSON document in UTF-8"),
    "unauthorized": (401, "an API key is needed: authorization: Bearer KEY"),
    "forbidden": (403, "the API key opens other things only"),
    "unknown_model": (404, "no such model is served"),
    "not_found": (404, "no such path"),
    "method_not_allowed": (405, "the path knows other methods"),
    "body_timeout": (408, "the request did not arrive in time"),
    "body_too_large": (413, "the body, or the number of rows, is beyond the limit"),
    "unsupported_media_type": (415, "the body is not application/json in UTF-8"),
    "invalid_request": (422, "the features break the model's schema"),
    "headers_too_large": (431, "more or longer header lines than the limit"),
    "rate_limited": (429, "the API key was used too often; retry-after says when again"),
    "prediction_failed": (500, "the model failed on this row"),
    "internal_error": (500, "something unexpected; the service's log tells what"),
    "not_ready": (503, "no verified model is warm, or the service is about to stop"),
    "overloaded": (503, "too many rows wait already"),
    "deadline_exceeded": (503, "the row waited too long for its model"),
    "label_log_unavailable": (503, "the labels could not be written, so they are not taken"),
    "traffic_log_unavailable": (503, "the prediction could not be recorded, so it is not given"),
}
"""By code: HTTP status and meaning."""

RETRY_AFTER_S = "1"


class Fault(Exception):
    """A request that is refused."""

    def __init__(
        self,
        code: str,
        message: str = "",
        violations: Sequence[Violation] = (),
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        self.code = code
        self.status, meaning = FAULTS[code]
        self.message = message or meaning
        self.violations = tuple(violations)
        self.headers = tuple(headers)
        if self.status == 503:  # noqa: PLR2004 - HTTP's Service Unavailable
            self.headers += ((b"retry-after", RETRY_AFTER_S.encode()),)
        super().__init__(f"{code}: {self.message}")

    def as_dict(self) -> dict[str, object]:
        """The fault as it stands under `error` in the answer, without the request id."""
        return {
            "code": self.code,
            "message": self.message,
            "violations": [msgspec.to_builtins(violation) for violation in self.violations],
        }

    def open_inference_body(self, request_id: str) -> bytes:
        """The same as the Open Inference Protocol wants it: `error` is a text."""
        told = self.as_dict() | {"error": str(self), "request_id": request_id}
        return msgspec.json.encode(told)

    def body(self, request_id: str) -> bytes:
        """The one shape in which every fault is told."""
        return msgspec.json.encode({"error": self.as_dict() | {"request_id": request_id}})
