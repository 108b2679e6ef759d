"""The wire protocols that the service speaks. A new one is a file, and a name in this list."""

from services.protocols.batch import PredictBatch
from services.protocols.invocations import Invocations
from services.protocols.open_inference import OpenInference
from services.protocols.row import PredictRow
from services.protocols.wire_protocol import WireProtocol

PROTOCOLS: tuple[type[WireProtocol], ...] = (
    PredictRow,
    PredictBatch,
    Invocations,
    OpenInference,
)
