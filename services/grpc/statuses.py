"""Faults as gRPC: the one table from code to status, and Google's error model for the details."""

from collections.abc import Mapping
from typing import Any

import grpc

from services.faults import STATUSES, Fault
from services.grpc.messages import BadRequest, ErrorInfo, RequestInfo, RetryInfo, RpcStatus

_Code = grpc.StatusCode
GRPC_STATUSES: Mapping[str, grpc.StatusCode] = {
    "invalid_http": _Code.INVALID_ARGUMENT,
    "invalid_json": _Code.INVALID_ARGUMENT,
    "invalid_csv": _Code.INVALID_ARGUMENT,
    "invalid_protobuf": _Code.INVALID_ARGUMENT,
    "invalid_coding": _Code.INVALID_ARGUMENT,
    "unauthorized": _Code.UNAUTHENTICATED,
    "forbidden": _Code.PERMISSION_DENIED,
    "unknown_model": _Code.NOT_FOUND,
    "unknown_job": _Code.NOT_FOUND,
    "not_found": _Code.NOT_FOUND,
    "method_not_allowed": _Code.UNIMPLEMENTED,
    "not_acceptable": _Code.INVALID_ARGUMENT,
    "body_timeout": _Code.DEADLINE_EXCEEDED,
    "job_conflict": _Code.ALREADY_EXISTS,
    "job_unfinished": _Code.FAILED_PRECONDITION,
    "job_ended": _Code.FAILED_PRECONDITION,
    "body_too_large": _Code.RESOURCE_EXHAUSTED,
    "unsupported_media_type": _Code.INVALID_ARGUMENT,
    "invalid_request": _Code.INVALID_ARGUMENT,
    "headers_too_large": _Code.RESOURCE_EXHAUSTED,
    "rate_limited": _Code.RESOURCE_EXHAUSTED,
    "too_many_jobs": _Code.RESOURCE_EXHAUSTED,
    "prediction_failed": _Code.INTERNAL,
    "internal_error": _Code.INTERNAL,
    "not_ready": _Code.UNAVAILABLE,
    "too_many_connections": _Code.UNAVAILABLE,
    "overloaded": _Code.UNAVAILABLE,
    "deadline_exceeded": _Code.DEADLINE_EXCEEDED,
    "model_unavailable": _Code.UNAVAILABLE,
    "jobs_unavailable": _Code.UNAVAILABLE,
    "label_log_unavailable": _Code.UNAVAILABLE,
    "traffic_log_unavailable": _Code.UNAVAILABLE,
}
"""The status of each code of `services.faults.FAULTS`."""

DOMAIN = "slipway"
DETAILS = "grpc-status-details-bin"
"""The trailing metadata with a `google.rpc.Status`."""
MAX_MESSAGE_BYTES = 800
MAX_DETAILS_BYTES = 3000
"""Clients refuse metadata above 8 kB, and proxies as well; message and details are both in it, the
message with up to three characters per byte, the details in base 64."""
RETRY_DELAY_S = 1


def message_of(fault: Fault) -> str:
    """The text of a status: the code, and the message as far as metadata can hold it."""
    text = str(fault).encode()
    if len(text) <= MAX_MESSAGE_BYTES:
        return str(fault)
    return text[:MAX_MESSAGE_BYTES].decode(errors="ignore") + "…"


def trailing_metadata(fault: Fault, request_id: str) -> tuple[tuple[str, str | bytes], ...]:
    """What follows a refused call: its id, when to try again, and the details."""
    retry_after_s = fault.retry_after_s
    if retry_after_s is None and STATUSES[fault.code] == 503:  # noqa: PLR2004 - may pass by itself
        retry_after_s = RETRY_DELAY_S
    status = RpcStatus(code=GRPC_STATUSES[fault.code].value[0], message=message_of(fault))
    _add(status, ErrorInfo(reason=fault.code, domain=DOMAIN))
    _add(status, RequestInfo(request_id=request_id))
    metadata: list[tuple[str, str | bytes]] = [("x-request-id", request_id)]
    if fault.violations:
        _add(status, _bad_request(fault))
    if retry_after_s is not None:
        retry = RetryInfo()
        retry.retry_delay.seconds = retry_after_s
        _add(status, retry)
        metadata.append(("retry-after", str(retry_after_s)))
    return (*metadata, (DETAILS, status.SerializeToString()))


def _bad_request(fault: Fault) -> Any:
    """The violations of a fault, as many as fit."""
    bad = BadRequest()
    left = MAX_DETAILS_BYTES
    for violation in fault.violations:
        description = f"expected {violation.expected}, got {violation.got}"
        left -= len(violation.path.encode()) + len(description.encode())
        if left < 0:
            break
        bad.field_violations.add(field=violation.path, description=description)
    return bad


def _add(status: Any, detail: Any) -> None:
    packed = status.details.add()
    packed.type_url = f"type.googleapis.com/{detail.DESCRIPTOR.full_name}"
    packed.value = detail.SerializeToString()
