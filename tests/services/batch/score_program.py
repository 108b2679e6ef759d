"""`python -m tests.services.batch.score_program VAR MODEL INPUT OUTPUT`: a run to be killed."""

import sys
from pathlib import Path

from tests.services.batch.scoring import score

if __name__ == "__main__":
    var, name, source, target = sys.argv[1:]
    score(Path(var), name, Path(source), Path(target))
