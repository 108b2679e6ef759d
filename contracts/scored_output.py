"""The output of `slipway score`: what was scored, with which version, file by file."""

from contracts.documents import Document

SCORED_FILE = "manifest.json"
"""The file of an output's `ScoredOutput`."""
TRAFFIC_FOLDER = "traffic"
"""The folder of an output with its records of traffic: `<model>/<UTC date>/<file>.parquet`."""


class ScoredFile(Document, frozen=True, kw_only=True):
    """A file that is scored; `OUTPUT/files/<path>.json`, written last.

    `path` is the file's path within the input, `fingerprint` a hash of its size, beginning and
    end. `rows` of it were read and `rejected` of them have no prediction. `predictions` is the
    path of the file with the predictions, `traffic` are the names of the files with its records.
    """

    path: str
    fingerprint: str
    size_bytes: int
    rows: int
    rejected: int
    predictions: str
    traffic: tuple[str, ...] = ()


class ScoredOutput(Document, frozen=True, kw_only=True):
    """A run of `slipway score`; `OUTPUT/manifest.json`.

    `input` is the argument of the run, and `format` that of the predictions. `started_at` is when
    it was started first: a run that is continued keeps it, and it is the time of every prediction.
    `finished_at` is empty until all files are scored; then `files`, `rows` and `rejected` count
    what they hold.
    """

    model: str
    version: int
    digest: str
    input: str
    format: str
    keep: tuple[str, ...] = ()
    with_traffic: bool = True
    started_at: str
    finished_at: str = ""
    files: int = 0
    rows: int = 0
    rejected: int = 0
