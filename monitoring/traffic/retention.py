"""Labels go when the traffic that they are of has gone.

A label is known after its prediction was made, so one that is older than the oldest day of
traffic that is kept is of a prediction that was removed.
"""

from datetime import datetime
from pathlib import Path
from secrets import token_hex

import polars as pl
from msgspec.structs import replace

from contracts.files import write_whole
from monitoring.labels.store import stored
from monitoring.traffic.compaction_manifest import (
    COMPACTION_FILE,
    CompactionManifest,
    read_compaction_manifest,
)


def without_labels_before(folder: Path, oldest: datetime) -> int:
    """Take compacted labels from before a moment away; how many that were.

    New files are written beside, `compacted.json` names them, and the old ones go last: who
    is killed in between leaves rubbish that the next compaction removes. To be called while
    nobody reads.

    Raises:
        InvalidDocument: a compacted file cannot be read.

    """
    before = read_compaction_manifest(folder)
    first = int(oldest.timestamp() * 1e6)
    kept: list[str] = []
    gone = 0
    for name in before.files:
        table = stored(folder / name)
        # A label without a time is of nobody knows when: it stays.
        young = table.filter(pl.col("time").is_null() | (pl.col("time") >= first))
        gone += len(table) - len(young)
        if len(young) == len(table):
            kept.append(name)
        elif len(young):
            kept.append(f"{name.rsplit('-', 1)[0]}-{token_hex(8)}.parquet")
            young.write_parquet(folder / kept[-1], compression="lz4")
    if gone:
        after: CompactionManifest = replace(before, files=tuple(kept), rows=before.rows - gone)
        write_whole(folder / COMPACTION_FILE, after.write_pretty())
        for name in set(before.files) - set(kept):
            (folder / name).unlink(missing_ok=True)
    return gone
