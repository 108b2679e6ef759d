"""A scored row becomes a line of traffic and an answer, which say the same."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, repeat

import msgspec
from msgspec import UNSET

from contracts.decision_rule import DecisionRule
from contracts.manifest import Manifest, Pointer
from contracts.traffic import TrafficRecord
from services.inference.batch_result import BatchClock, BatchResult, new_id_tails
from services.inference.decode import Text
from services.inference.pending import Assignment, PendingRequest

encode = msgspec.json.Encoder().encode
Column = Sequence[Text]

NONE = b"[]"
NO_ENDS = (b"",)


class Renderer:
    """Writes records and answers for one model: templates, filled with the texts of a result."""

    def __init__(self, pointer: Pointer, manifest: Manifest) -> None:
        self._classes = [encode(word) for word in manifest.classes]
        self._rule = DecisionRule.of(manifest)
        names = manifest.classes or manifest.outputs
        self._n_scores = len(names)
        same = {
            "prediction_id": b'"%b%b"',
            "time": b'"%b"',
            "model": _constant(pointer.name),
            "version": _constant(pointer.version),
            "variant": _constant(pointer.alias),
            "prediction": b"%b",
            "flags": b"%b",
        }
        scores = _object(dict.fromkeys(names, b"%b"))
        told = "probabilities" if manifest.classes else "values"
        order = (
            "prediction_id",
            "model",
            "version",
            "variant",
            "time",
            "prediction",
            told,
            "flags",
        )
        self._answer = _object({name: (same | {told: scores})[name] for name in order})
        self._answers = _pieces(self._answer + b",")
        blanks = dict.fromkeys(("features", "score", "latency_ms", "request_id"), b"%b")
        self._line = _pieces(_line_of(same | blanks | {"scores": scores}))

    def result(self, batch: Sequence[PendingRequest], clock: BatchClock) -> BatchResult:
        """What is answered to scored batch, row after row."""
        scores = list(chain.from_iterable(pending.scores for pending in batch))
        texts = encode(list(chain.from_iterable(scores)))[1:-1].split(b",")
        columns = [texts[index :: self._n_scores] for index in range(self._n_scores)]
        predictions, monitored_scores = self.decide(scores, columns)
        return BatchResult(
            time=clock.text.encode(),
            id_head=clock.id_head,
            ids=new_id_tails(len(scores)),
            predictions=predictions,
            monitored_scores=monitored_scores,
            scores=columns,
            flags=_flags_of(batch),
        )

    def lines(
        self,
        result: BatchResult,
        batch: Sequence[PendingRequest],
        waits_s: Sequence[float],
        has_split: bool = False,
    ) -> bytes:
        """The lines of traffic of these batch; `has_split`: some may have an assignment."""
        waits_ms = [b"%.3f" % (wait_s * 1e3) for wait_s in waits_s]
        ends: Sequence[bytes] = NO_ENDS
        if has_split:
            ends = [_end_of(pending.assignment) for pending in batch]
        names = [encode(pending.request_id) for pending in batch]
        sizes = [len(pending.rows) for pending in batch]
        features = [text for pending in batch for text in pending.rows.features]
        return _filled(
            self._line, result.id_head, result.ids, result.time, features, result.predictions,
            result.monitored_scores, *result.scores, result.flags or NONE,
            _spread(waits_ms, sizes), _spread(names, sizes), _spread(ends, sizes),
        )  # fmt: skip

    def answers(self, result: BatchResult, place: slice) -> bytes:
        """What the client is told of the rows that stand there, with a comma behind each."""
        flags = result.flags[place] if result.flags else NONE
        return _filled(
            self._answers, result.id_head, result.ids[place], result.time,
            result.predictions[place],
            *(column[place] for column in result.scores), flags,
        )  # fmt: skip

    def answer(self, result: BatchResult, index: int) -> bytes:
        """What the client is told of one row."""
        scores = [column[index] for column in result.scores]
        flags = result.flags[index] if result.flags else NONE
        row = (
            result.id_head,
            result.ids[index],
            result.time,
            result.predictions[index],
            *scores,
            flags,
        )
        return self._answer % row

    def decide(
        self, scores: Sequence[Sequence[float]], columns: Sequence[Sequence[bytes]]
    ) -> tuple[Sequence[bytes], Sequence[bytes]]:
        """The predictions, and the numbers that are watched for drift."""
        rule = self._rule
        if rule.task == "regression":
            return columns[0], columns[0]
        indices = rule.class_index_list(scores)
        predictions = [self._classes[index] for index in indices]
        if rule.task == "binary":
            return predictions, columns[rule.monitored_index(0)]
        monitored = [columns[rule.monitored_index(i)][row] for row, i in enumerate(indices)]
        return predictions, monitored


def _flags_of(batch: Sequence[PendingRequest]) -> Sequence[bytes]:
    if not any(any(pending.rows.flags) for pending in batch):
        return ()
    return [encode(each) for pending in batch for each in pending.rows.flags]


def _filled(pieces: Sequence[bytes], *columns: Column | bytes) -> bytes:
    """Row after row, the pieces of a template with what stands in the columns between them.

    Bytes in the place of a column stand in each row. One `join` takes half the time of filling
    a template for each row.
    """
    parts: list[Iterable[Text]] = []
    same = pieces[0]
    for column, piece in zip(columns, pieces[1:], strict=True):
        if isinstance(column, bytes):
            same += column + piece
        else:
            parts += (repeat(same), column)
            same = piece
    return b"".join(chain.from_iterable(zip(*parts, repeat(same), strict=False)))


def _pieces(template: bytes) -> list[bytes]:
    """What stands between the blanks of a template; a zero byte is never in JSON."""
    unambiguous = template.replace(b"%%", b"\0")
    return [piece.replace(b"\0", b"%") for piece in unambiguous.split(b"%b")]


def _spread(values: Sequence[bytes], sizes: Sequence[int]) -> Column | bytes:
    """The value of each pending for each of its rows."""
    if len(values) == 1:
        return values[0]
    return [value for value, size in zip(values, sizes, strict=True) for _ in range(size)]


def _line_of(known: Mapping[str, bytes]) -> bytes:
    """The template of a line: fields that are not `known` stand with their defaults.

    At its end there is a blank for the fields that not every record has.
    """
    fields = [f for f in msgspec.structs.fields(TrafficRecord) if f.default is not UNSET]
    line = _object({f.name: known.get(f.name) or _constant(f.default) for f in fields})
    return line[:-1] + b"%b}\n"


def _end_of(assignment: Assignment | None) -> bytes:
    """The fields of a record that a split adds."""
    if assignment is None:
        return b""
    added = {"unit": assignment.unit, "assigned": assignment.assigned, "weight": assignment.weight}
    return b"," + encode(added)[1:-1]


def _object(fields: Mapping[str, bytes]) -> bytes:
    """The template of a JSON object."""
    return b"{%b}" % b",".join(_constant(name) + b":" + text for name, text in fields.items())


def _constant(value: object) -> bytes:
    """A value that is the same in each row, as a part of a template."""
    return encode(value).replace(b"%", b"%%")
