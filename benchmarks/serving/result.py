"""A benchmark's figures as a file: what was measured, of which commit, where and when."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks.serving.bar import Bar
from benchmarks.serving.machine import Machine
from benchmarks.serving.testbed import ROOT
from training.tracking import git_commit

RESULTS = Path(__file__).with_name("results")


def write(
    kind: str,
    figures: Mapping[str, object],
    bars: list[Bar],
    machine: Machine,
    options: Mapping[str, object],
    results: Path = RESULTS,
) -> Path:
    """Write the figures below `results`, named by day, commit and kind."""
    commit, now = git_commit(ROOT), datetime.now(UTC)
    document = {
        "kind": kind,
        "date": now.isoformat(timespec="seconds"),
        "commit": commit,
        "machine": machine,
        "options": options,
        "bars": bars,
        **figures,
    }
    path = results / f"{now:%Y-%m-%d}-{commit[:8]}-{kind}.json"
    results.mkdir(exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(document, enc_hook=str)) + b"\n")
    return path
