"""The tensors of a response, whatever the transport: predictions, the scores behind them, ids."""

import numpy as np

from contracts.manifest import Manifest
from services.inference.batch_result import BatchResult
from services.inference.json_templates import encode
from services.protocols.binary_tensors import packed_strings
from services.protocols.tensors import output_metadata


class OutputTensors:
    """Takes the output tensors of some rows from the result of their batch.

    `described`: what each of them is, in their order.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.described = output_metadata(manifest)
        self._packed_classes = {encode(c): packed_strings([c.encode()]) for c in manifest.classes}

    def texts(self, result: BatchResult, rows: slice) -> tuple[list[bytes], ...]:
        """The values of each output, flat, as JSON texts."""
        ids = [b'"%b"' % each for each in self.ids(result, rows)]
        scores = zip(*(column[rows] for column in result.scores), strict=True)
        return [*result.predictions[rows]], [text for row in scores for text in row], ids

    def packed(self, result: BatchResult, rows: slice) -> tuple[bytes, bytes, bytes]:
        """The values of each output as bytes; see `binary_tensors`."""
        scores = np.array(result.numbers[rows], dtype="<f8")
        if self._packed_classes:
            packed = self._packed_classes
            predictions = b"".join([packed[text] for text in result.predictions[rows]])
        else:
            predictions = scores[:, 0].tobytes()
        return predictions, scores.tobytes(), packed_strings(self.ids(result, rows))

    @staticmethod
    def ids(result: BatchResult, rows: slice) -> list[bytes]:
        """The id of each prediction."""
        return [result.id_head + tail for tail in result.ids[rows]]
