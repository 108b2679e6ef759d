"""How far a run is, and who shows it."""

from dataclasses import dataclass
from typing import Protocol


@dataclass
class ScoringProgress:
    """How far a run is: `share` of the input's bytes are done, from 0 to 1.

    `scored_rows` and `skipped_rows` are rows of this run and of files that were finished before.
    """

    n_files: int
    total_bytes: int
    total_rows: int | None = None
    finished_files: int = 0
    finished_bytes: int = 0
    share: float = 0.0
    scored_rows: int = 0
    skipped_rows: int = 0
    rejected: int = 0

    @property
    def rows(self) -> int:
        """All rows so far, rejected ones included."""
        return self.scored_rows + self.skipped_rows


class ShowProgress(Protocol):
    """Shows how far a run is; called after each batch."""

    def __call__(self, progress: ScoringProgress, /) -> None:
        """Show it, or not, if it was shown just before."""
