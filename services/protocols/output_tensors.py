"""The tensors of a response, whatever the transport: predictions, the scores behind them, ids."""

from collections.abc import Sequence
from itertools import chain

import numpy as np

from contracts.errors import preview
from contracts.manifest import Manifest
from contracts.schema import Violation
from services.faults import MAX_SHOWN_CHARS
from services.inference.batch_result import BatchResult
from services.inference.json_templates import encode
from services.protocols.binary_tensors import packed_strings
from services.protocols.table import refuse_any
from services.protocols.tensors import output_metadata


class OutputTensors:
    """Takes the output tensors of some rows from the result of their batch.

    `described`: what each of them is, in their order. `names`: their names.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.described = output_metadata(manifest)
        self.names = tuple(output.name for output in self.described)
        self._classes = {encode(name): name.encode() for name in manifest.classes}

    def check_names(self, names: Sequence[object]) -> None:
        """Refuse a request for outputs that do not exist.

        Raises:
            Fault: `invalid_request`.

        """
        expected = " or ".join(self.names)
        refuse_any(
            Violation(f"outputs[{index}].name", expected, preview(name, MAX_SHOWN_CHARS))
            for index, name in enumerate(names)
            if name not in self.names
        )

    def texts(self, result: BatchResult, rows: slice) -> tuple[list[bytes], ...]:
        """The values of each output, flat, as JSON texts."""
        ids = [b'"%b"' % each for each in _ids(result, rows)]
        scores = zip(*(column[rows] for column in result.scores), strict=True)
        return [*result.predictions[rows]], [text for row in scores for text in row], ids

    def packed(self, result: BatchResult, rows: slice) -> tuple[bytes, bytes, bytes]:
        """The values of each output as bytes; see `binary_tensors`."""
        scores = np.array(result.numbers[rows], dtype="<f8")
        if self._classes:
            predictions = packed_strings(map(self._classes.__getitem__, result.predictions[rows]))
        else:
            predictions = scores[:, 0].tobytes()
        return predictions, scores.tobytes(), packed_strings(_ids(result, rows))

    def values(
        self, result: BatchResult, rows: slice
    ) -> tuple[list[bytes] | list[float], list[float], list[bytes]]:
        """The values of each output, flat: strings in UTF-8, or numbers."""
        scores = result.numbers[rows]
        predictions: list[bytes] | list[float]
        if self._classes:
            predictions = [self._classes[text] for text in result.predictions[rows]]
        else:
            predictions = [row[0] for row in scores]
        return predictions, [*chain.from_iterable(scores)], _ids(result, rows)


def _ids(result: BatchResult, rows: slice) -> list[bytes]:
    return [result.id_head + tail for tail in result.ids[rows]]
