"""The compaction manifest: which Parquet files of a folder of traffic or labels count."""

import msgspec

from contracts.documents import Document

COMPACTION_FILE = "compacted.json"


class CompactionManifest(Document, frozen=True, kw_only=True):
    """A day that was compacted, or scored from files; `compacted.json` next to its Parquet files.

    `files` are its Parquet files with `rows` rows in all, `torn_lines` the lines that were left
    out. `log_files` says how many bytes of each log file are in Parquet, by file name.
    """

    files: tuple[str, ...] = ()
    rows: int = 0
    torn_lines: int = 0
    log_files: dict[str, int] = msgspec.field(default_factory=dict, name="segments")
