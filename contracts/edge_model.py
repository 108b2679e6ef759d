"""What an edge export holds: the model without Slipway, and how each form of it answered."""

import msgspec

from contracts.documents import Document
from contracts.manifest import ScoreKind, Task
from contracts.schema import Schema

EDGE_FILE = "edge.json"
"""The file of an export's `EdgeModel`."""
FLAG_NAMES = ("", "clipped", "out_of_range", "unseen", "refused")
"""The names of the flags that an exported graph gives per feature, by their number."""
REFUSED_FLAG = 4
"""A feature with this flag breaks the schema: its row has no scores."""


class EdgeForm(msgspec.Struct, frozen=True, kw_only=True):
    """One form of an exported model, and what it answered on the machine of the export.

    `size_bytes` is the size of the files that score, `gzip_bytes` the same compressed. Of `rows`
    rows, `class_differences` had another class than the served model, `flag_differences` other
    flags, and `max_difference` is the largest difference of a score, in the certificate's unit.
    `microseconds_per_row` is one row at a time; None where it was not measured. `left_out` says
    why the form is not in the export, or could not run here.
    """

    form: str
    files: tuple[str, ...] = ()
    size_bytes: int = 0
    gzip_bytes: int = 0
    rows: int = 0
    class_differences: int = 0
    flag_differences: int = 0
    max_difference: float = 0.0
    microseconds_per_row: float | None = None
    left_out: str = ""


class EdgeModel(Document, frozen=True, kw_only=True):
    """The description of an exported version; `OUTPUT/edge.json`.

    `digest` is that of the version's manifest, `value_names` name a regression's values.
    `inputs` has the name of the graph's input of each
    feature of the schema. A missing number is NaN there, and a missing category is
    `missing_text`. `outputs` are the graph's outputs: the predicted class or value, the scores,
    and a number of `FLAG_NAMES` per feature. `tolerance` is the certificate's. `files` maps each
    other file of the export to its sha256.
    """

    name: str
    version: int
    digest: str
    task: Task
    schema: Schema
    classes: tuple[str, ...] = ()
    value_names: tuple[str, ...] = ()
    threshold: float | None = None
    score_kind: ScoreKind = "probability"
    inputs: dict[str, str]
    outputs: tuple[str, ...]
    missing_text: str = ""
    flags: tuple[str, ...] = FLAG_NAMES
    tolerance: float
    forms: tuple[EdgeForm, ...] = ()
    files: dict[str, str] = msgspec.field(default_factory=dict)
