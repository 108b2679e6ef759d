"""A scored row becomes a line of traffic and an answer, which say the same."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, repeat

import msgspec
from msgspec import UNSET

from contracts.manifest import Manifest, Pointer
from contracts.traffic import TrafficRecord
from services.inference.batch_result import Moment, Page, new_id_tails
from services.inference.decode import Text
from services.inference.pending import Assignment, Ticket

encode = msgspec.json.Encoder().encode
Column = Sequence[Text]

NONE = b"[]"
NO_ENDS = (b"",)


class Clerk:
    """Writes records and answers for one model: templates, filled with the texts of a page."""

    def __init__(self, pointer: Pointer, manifest: Manifest) -> None:
        self._task = manifest.task
        self._classes = [encode(word) for word in manifest.classes]
        self._threshold = 0.5 if manifest.threshold is None else manifest.threshold
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

    def page(self, tickets: Sequence[Ticket], moment: Moment) -> Page:
        """What is answered to scored tickets, row after row."""
        scores = list(chain.from_iterable(ticket.scores for ticket in tickets))
        texts = encode(list(chain.from_iterable(scores)))[1:-1].split(b",")
        columns = [texts[index :: self._n_scores] for index in range(self._n_scores)]
        words, watched = self.decided(scores, columns)
        return Page(
            time=moment.text.encode(),
            id_head=moment.id_head,
            ids=new_id_tails(len(scores)),
            words=words,
            watched=watched,
            scores=columns,
            flags=_flags_of(tickets),
        )

    def lines(
        self,
        page: Page,
        tickets: Sequence[Ticket],
        waits_s: Sequence[float],
        is_divided: bool = False,
    ) -> bytes:
        """The lines of traffic of these tickets; `is_divided`: some may have an assignment."""
        waits_ms = [b"%.3f" % (wait_s * 1e3) for wait_s in waits_s]
        ends: Sequence[bytes] = NO_ENDS
        if is_divided:
            ends = [_end_of(ticket.assignment) for ticket in tickets]
        names = [encode(ticket.request_id) for ticket in tickets]
        sizes = [len(ticket.rows) for ticket in tickets]
        features = [text for ticket in tickets for text in ticket.rows.features]
        return _filled(
            self._line, page.id_head, page.ids, page.time, features, page.words, page.watched,
            *page.scores, page.flags or NONE, _spread(waits_ms, sizes), _spread(names, sizes),
            _spread(ends, sizes),
        )  # fmt: skip

    def answers(self, page: Page, place: slice) -> bytes:
        """What the client is told of the rows that stand there, with a comma behind each."""
        flags = page.flags[place] if page.flags else NONE
        return _filled(
            self._answers, page.id_head, page.ids[place], page.time, page.words[place],
            *(column[place] for column in page.scores), flags,
        )  # fmt: skip

    def answer(self, page: Page, index: int) -> bytes:
        """What the client is told of one row."""
        scores = [column[index] for column in page.scores]
        flags = page.flags[index] if page.flags else NONE
        row = (page.id_head, page.ids[index], page.time, page.words[index], *scores, flags)
        return self._answer % row

    def decided(
        self, scores: Sequence[Sequence[float]], columns: Sequence[Sequence[bytes]]
    ) -> tuple[Sequence[bytes], Sequence[bytes]]:
        """The predictions, and the numbers that are watched for drift."""
        if self._task == "regression":
            return columns[0], columns[0]
        if self._task == "binary":
            no, yes = self._classes
            threshold = self._threshold
            return [yes if each[1] >= threshold else no for each in scores], columns[1]
        highest = [each.index(max(each)) for each in scores]
        watched = [columns[index][row] for row, index in enumerate(highest)]
        return [self._classes[index] for index in highest], watched


def _flags_of(tickets: Sequence[Ticket]) -> Sequence[bytes]:
    if not any(any(ticket.rows.flags) for ticket in tickets):
        return ()
    return [encode(each) for ticket in tickets for each in ticket.rows.flags]


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
    """The value of each ticket for each of its rows."""
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
