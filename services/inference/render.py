"""From scored requests to a batch result, and from that to the lines of the traffic log."""

from collections.abc import Mapping, Sequence
from itertools import chain

import msgspec
from msgspec import UNSET

from contracts.decision_rule import DecisionRule
from contracts.manifest import Manifest, Pointer
from contracts.split import bucket_of
from contracts.traffic import TrafficRecord
from services.inference.batch_result import EMPTY_RESULT, BatchClock, BatchResult
from services.inference.ids import new_id_tails
from services.inference.json_templates import (
    EMPTY_LIST,
    Column,
    constant,
    encode,
    fill,
    object_template,
    split_template,
)
from services.inference.pending import PendingRequest

MAX_CACHED_PSEUDONYMS = 4096
"""Units whose pseudonym is kept; when there are more, all are dropped and computed again."""


class Renderer:
    """Makes the results and the traffic records of one version of a model."""

    def __init__(self, pointer: Pointer, manifest: Manifest) -> None:
        self._digest = pointer.digest
        self._classes = [encode(name) for name in manifest.classes]
        self._rule = DecisionRule.of(manifest)
        names = manifest.classes or manifest.outputs
        self._n_scores = len(names)
        self._model = pointer.name
        self._pseudonyms: dict[bytes, str] = {}
        self._line = split_template(_line_template(_known_fields(pointer, names)))

    def result(self, batch: Sequence[PendingRequest], clock: BatchClock) -> BatchResult:
        """The rows of scored requests, request after request, with their prediction ids."""
        scores = list(chain.from_iterable(pending.scores for pending in batch))
        if not scores:
            return EMPTY_RESULT
        texts = encode(list(chain.from_iterable(scores)))[1:-1].split(b",")
        columns = [texts[index :: self._n_scores] for index in range(self._n_scores)]
        predictions, monitored_scores = self.predict(scores, columns)
        id_head, ids = self._ids(batch, clock.id_head, len(scores))
        return BatchResult(
            clock.text,
            id_head,
            ids,
            predictions,
            monitored_scores,
            columns,
            _flags_of(batch),
            scores,
        )

    def lines(
        self, result: BatchResult, batch: Sequence[PendingRequest], waits_s: Sequence[float]
    ) -> bytes:
        """The lines of the traffic log for a result; `waits_s` has the latency per request."""
        waits_ms = [b"%.3f" % (wait_s * 1e3) for wait_s in waits_s]
        request_ids = [encode(pending.request.request_id) for pending in batch]
        sizes = [len(pending.rows.features) for pending in batch]
        features = [text for pending in batch for text in pending.rows.features]
        ends: Column = b""
        if any(map(_has_more, batch)):
            ends = _spread([self._last_fields(pending) for pending in batch], sizes)
        return fill(
            self._line, result.id_head, result.ids, result.time, features, result.predictions,
            result.monitored_scores, *result.scores, result.flags or EMPTY_LIST,
            _spread(waits_ms, sizes), _spread(request_ids, sizes), ends,
        )  # fmt: skip

    def _ids(
        self, batch: Sequence[PendingRequest], id_head: bytes, n_rows: int
    ) -> tuple[bytes, Sequence[bytes]]:
        """The common head of the ids of a batch, and the rest of each id."""
        if not any(pending.request.choose_ids for pending in batch):
            return id_head, new_id_tails(n_rows)
        ids: list[bytes] = []
        for pending in batch:
            choose = pending.request.choose_ids
            if choose is None:
                ids += [id_head + tail for tail in new_id_tails(len(pending.rows))]
            else:
                ids += choose(self._digest, pending.rows.indices)
        return b"", ids

    def _last_fields(self, pending: PendingRequest) -> bytes:
        """The fields of a record that only some requests have: unit, split, trace."""
        added: dict[str, str | float] = {}
        assignment, request = pending.assignment, pending.request
        if assignment is not None:
            added = {
                "unit": assignment.unit,
                "assigned": assignment.assigned,
                "weight": assignment.weight,
            }
        elif request.unit:
            added["unit"] = self._pseudonym_of(request.unit)
        if request.trace_id:
            added["trace_id"] = request.trace_id
        return b"," + encode(added)[1:-1] if added else b""

    def _pseudonym_of(self, unit: bytes) -> str:
        known = self._pseudonyms.get(unit)
        if known is None:
            if len(self._pseudonyms) >= MAX_CACHED_PSEUDONYMS:
                self._pseudonyms.clear()
            known = self._pseudonyms[unit] = bucket_of(self._model, unit)[1]
        return known

    def predict(
        self, scores: Sequence[Sequence[float]], columns: Sequence[Sequence[bytes]]
    ) -> tuple[Sequence[bytes], Sequence[bytes]]:
        """The predictions of rows, and their scores that are monitored for drift, as JSON text.

        `scores` has the shape `(n_rows, n_outputs)`; `columns` holds the same scores as JSON
        text, by column: shape `(n_outputs, n_rows)`.
        """
        rule = self._rule
        if rule.task == "regression":
            return columns[0], columns[0]
        indices = rule.class_index_list(scores)
        predictions = [self._classes[index] for index in indices]
        if rule.task == "binary":
            return predictions, columns[rule.monitored_index(0)]
        monitored = [columns[rule.monitored_index(i)][row] for row, i in enumerate(indices)]
        return predictions, monitored


def _known_fields(pointer: Pointer, names: Sequence[str]) -> dict[str, bytes]:
    blanks = dict.fromkeys(("features", "score", "latency_ms", "request_id"), b"%b")
    return blanks | {
        "prediction_id": b'"%b%b"',
        "time": b'"%b"',
        "model": constant(pointer.name),
        "version": constant(pointer.version),
        "variant": constant(pointer.alias),
        "prediction": b"%b",
        "scores": object_template(dict.fromkeys(names, b"%b")),
        "flags": b"%b",
    }


def _line_template(known: Mapping[str, bytes]) -> bytes:
    """The template of a record; fields that are not `known` have their defaults.

    The last blank is for the fields that only some records have.
    """
    fields = [f for f in msgspec.structs.fields(TrafficRecord) if f.default is not UNSET]
    line = object_template({f.name: known.get(f.name) or constant(f.default) for f in fields})
    return line[:-1] + b"%b}\n"


def _has_more(pending: PendingRequest) -> bool:
    request = pending.request
    return bool(pending.assignment or request.unit or request.trace_id)


def _flags_of(batch: Sequence[PendingRequest]) -> Sequence[bytes]:
    if not any(any(pending.rows.flags) for pending in batch):
        return ()
    return [encode(flags) for pending in batch for flags in pending.rows.flags]


def _spread(values: Sequence[bytes], sizes: Sequence[int]) -> Column:
    """The value of each request for each of its rows."""
    if len(values) == 1:
        return values[0]
    return [value for value, size in zip(values, sizes, strict=True) for _ in range(size)]
