"""How faults are written: the structs are both what is sent and what the documentation shows."""

from typing import Annotated

import msgspec
from msgspec import Meta

from contracts.schema import Violation
from services.faults import FAULTS, Fault

FaultCode = Annotated[str, Meta(extra_json_schema={"enum": list(FAULTS)})]
_encode = msgspec.json.Encoder().encode


class FaultDetail(msgspec.Struct, frozen=True):
    """What is wrong, with one violation per feature that breaks the schema."""

    code: FaultCode
    message: str
    violations: tuple[Violation, ...]


class RequestFaultDetail(FaultDetail, frozen=True):
    """What is wrong with a request."""

    request_id: str


class FaultBody(msgspec.Struct, frozen=True):
    """The body of every refused request, except in the Open Inference Protocol."""

    error: RequestFaultDetail


class RowFault(msgspec.Struct, frozen=True):
    """The result of a row of a batch that has no prediction."""

    error: FaultDetail


def fault_body(fault: Fault, request_id: str) -> bytes:
    """The encoded body of a refused request."""
    return _encode(
        FaultBody(RequestFaultDetail(fault.code, fault.message, fault.violations, request_id))
    )


def row_fault(fault: Fault) -> bytes:
    """The encoded result of a row that has no prediction."""
    return _encode(RowFault(FaultDetail(fault.code, fault.message, fault.violations)))
