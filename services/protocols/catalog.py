"""The wire protocols that the service speaks. A new one is a file, and a name in this list.

Of several for the same path, the first reads JSON, and the others another media type.
"""

from services.protocols.batch import PredictBatch
from services.protocols.invocations import Invocations
from services.protocols.invocations_csv import InvocationsCsv
from services.protocols.open_inference import BinaryInference, OpenInference
from services.protocols.row import PredictRow
from services.protocols.wire_protocol import WireProtocol

PROTOCOLS: tuple[type[WireProtocol], ...] = (
    PredictRow,
    PredictBatch,
    Invocations,
    InvocationsCsv,
    OpenInference,
    BinaryInference,
)
