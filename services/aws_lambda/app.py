"""The module that AWS Lambda imports: `services.aws_lambda.app.handler`.

Lambda gives a new instance the whole processor while it imports the handler's module, and only
the share that its memory buys afterwards. So the models are loaded on import if Lambda imports it,
and by the first event otherwise.
"""

import functools
import os
import sys
from typing import Any

from contracts.settings import load_settings
from services.aws_lambda.events import LambdaAnswer, event_answer, http_answer, request_of
from services.aws_lambda.predictions import LambdaPredictor
from services.faults import Fault
from services.inference.ids import new_request_id
from services.protocols.fault_body import fault_body
from services.settings import ServiceSettings


def write_to_stdout(lines: bytes) -> None:
    """Write records to standard output, which Lambda keeps in CloudWatch."""
    sys.stdout.write(lines.decode())
    sys.stdout.flush()


@functools.cache
def predictor() -> LambdaPredictor:
    """The models of this instance, loaded once."""
    return LambdaPredictor(load_settings(ServiceSettings, os.environ), write_to_stdout)


def handler(event: object, context: Any) -> Any:
    """The answer to an event: an HTTP response, or for a direct call the answer itself."""
    del context
    try:
        request = request_of(event)
    except Fault as fault:
        return http_answer(LambdaAnswer.of_fault(fault, fault_body(fault, new_request_id())))
    return event_answer(request, predictor().answer(request))


if "AWS_LAMBDA_RUNTIME_API" in os.environ:
    predictor()
