"""The rows of a request, decoded and validated."""

import struct
from collections.abc import Mapping, Sequence
from itertools import chain
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from services.faults import Fault

Matrix = NDArray[np.float32] | NDArray[np.float64]
"""A model's input, shape `(n_rows, n_features)`, of the type that the model takes."""
JsonText = bytes | msgspec.Raw
"""JSON that may be a part of a larger buffer."""
ModelInput = Matrix | list[JsonText]
"""What a model scores: a matrix, or for a fitted pipeline the rows themselves as JSON."""
InputType = np.dtype[Any] | None
"""The type of the matrix that a model takes; None for a model that takes rows."""
NO_FLAGS: tuple[tuple[str, ...], ...] = ((),)
"""The flags of one row that has none."""
NONE_REFUSED: Mapping[int, Fault] = MappingProxyType({})


class Rows(msgspec.Struct, frozen=True):
    """Valid rows: what is logged of each, what the model gets, which flags it has.

    `features`: the features of each row by name, as JSON without line breaks, shape `(n_rows,)`.
    `numbers`: the model's input, shape `(n_rows, n_features)`, lists or a matrix.
    `flags`: what was clipped, unseen or out of range in each row, shape `(n_rows,)`.
    `refused`: the rows of the request that are not among these, by their index in the request.
    """

    features: Sequence[JsonText]
    numbers: Sequence[Sequence[float]] | Matrix
    flags: Sequence[tuple[str, ...]]
    refused: Mapping[int, Fault] = NONE_REFUSED

    def __len__(self) -> int:
        return len(self.features)

    def split(self) -> "list[Rows]":
        """One `Rows` per row."""
        return [
            Rows((features,), (numbers,), (flags,))
            for features, numbers, flags in zip(
                self.features, self.numbers, self.flags, strict=True
            )
        ]

    @property
    def indices(self) -> Sequence[int]:
        """The index in the request of each of these rows."""
        n_request_rows = len(self) + len(self.refused)
        if not self.refused:
            return range(n_request_rows)
        return [i for i in range(n_request_rows) if i not in self.refused]

    def refuse(self, faults: Mapping[int, Fault]) -> "Rows":
        """These rows without those that have a fault; `faults` by index among these rows."""
        in_request = self.indices
        kept = [i for i in range(len(self)) if i not in faults]
        return Rows(
            [self.features[i] for i in kept],
            [self.numbers[i] for i in kept],
            [self.flags[i] for i in kept],
            {**self.refused, **{in_request[i]: fault for i, fault in faults.items()}},
        )


def model_input(parts: Sequence[Rows], dtype: InputType) -> ModelInput:
    """The rows of several requests as a model's input, in their order."""
    if dtype is None:
        return [text for rows in parts for text in rows.features]
    listed = [rows.numbers for rows in parts]
    if all(len(numbers) == 1 for numbers in listed):
        # NumPy takes twice as long from lists of lists.
        values = [*chain.from_iterable(chain.from_iterable(listed))]
        packed = struct.pack(f"={len(values)}{dtype.char}", *values)
        return np.frombuffer(packed, dtype).reshape(len(listed), -1)
    matrices = [np.asarray(numbers, dtype=dtype) for numbers in listed]
    return matrices[0] if len(matrices) == 1 else np.concatenate(matrices)


def join_rows(parts: Sequence[Rows], refused: Mapping[int, Fault] = NONE_REFUSED) -> Rows:
    """Several `Rows` as one, in their order; `refused` is that of the result."""
    return Rows(
        [features for part in parts for features in part.features],
        [numbers for part in parts for numbers in part.numbers],
        [flags for part in parts for flags in part.flags],
        refused,
    )
