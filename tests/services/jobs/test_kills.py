"""The short version of `python -m benchmarks.jobs.kills`, in a process of its own: it forks."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_kills_lose_no_accepted_job_and_double_no_result() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.jobs.kills", "--kills", "20"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)

    assert report["kills"] == 20
    assert report["accepted"] > 20
    for fault in ("lost", "unfinished", "with_missing_rows", "with_doubled_rows"):
        assert report[fault] == 0, report
