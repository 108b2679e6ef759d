"""The traffic of an output of `slipway score`, as one window.

The records are in OUTPUT, in the form of compacted traffic, and all have the time at which the
scoring was started. Labels, verdicts and reports are where they always are.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from contracts.errors import InvalidData, NotFoundHere
from contracts.names import Layout
from contracts.scored_output import SCORED_FILE, TRAFFIC_FOLDER, ScoredOutput
from contracts.times import parse_utc

DETAILS_FOLDERS = ("", ".details")
"""What an output's path has behind it where its manifest is: nothing, or if it is one file this."""
WINDOW_LENGTH = timedelta(milliseconds=1)
"""The length of the window: drift limits are learned from other windows of this length, which are
those of scored outputs."""


@dataclass(frozen=True)
class ScoredLayout(Layout):
    """The layout of this machine, with the traffic of an output in the place of the service's."""

    output: Path = Path()

    @property
    def all_traffic(self) -> Path:
        """The folder with a folder of traffic for each model."""
        return self.output / TRAFFIC_FOLDER


@dataclass(frozen=True)
class ScoredWindow:
    """The window of an output: where its traffic is, the version that made it, its ends."""

    layout: ScoredLayout
    version: int
    start: datetime
    end: datetime


def scored_window(layout: Layout, name: str, output: Path) -> ScoredWindow:
    """The window of a model's predictions in an output.

    Raises:
        NotFoundHere: there is no output of `slipway score`.
        InvalidData: it is not finished, is of another model, or has no records of traffic.
        InvalidDocument: its manifest was cut or edited.

    """
    here, scored = _opened(layout, output)
    if scored.model != name:
        raise InvalidData(
            f"{output}: expected predictions of {name!r}, got those of {scored.model!r}",
            remedy=f"slipway monitor {scored.model} --scored {output}",
        )
    start = parse_utc(scored.started_at)
    return ScoredWindow(here, scored.version, start, start + WINDOW_LENGTH)


def scored_layout(layout: Layout, output: Path) -> ScoredLayout:
    """The layout in which the records of an output are the traffic of its model.

    Raises:
        NotFoundHere: there is no output of `slipway score`.
        InvalidData: it is not finished, or has no records of traffic.
        InvalidDocument: its manifest was cut or edited.

    """
    return _opened(layout, output)[0]


def _opened(layout: Layout, output: Path) -> tuple[ScoredLayout, ScoredOutput]:
    """An output that is finished and has records of traffic."""
    folder = _details(output)
    path = folder / SCORED_FILE
    scored = ScoredOutput.read(path.read_bytes(), str(path))
    again = f"slipway score {scored.model} {scored.input} {output}"
    if not scored.finished_at:
        raise InvalidData(f"{output}: the scoring of it was not finished", remedy=again)
    if not scored.with_traffic:
        raise InvalidData(
            f"{output}: expected records of traffic, got none: it was scored with --no-traffic",
            remedy=f"{again} --overwrite",
        )
    return ScoredLayout(layout.var, folder), scored


def _details(output: Path) -> Path:
    """The folder of an output with its manifest."""
    for suffix in DETAILS_FOLDERS:
        folder = output.with_name(output.name + suffix)
        if (folder / SCORED_FILE).is_file():
            return folder
    raise NotFoundHere(
        f"{output}: expected an output of slipway score, got no {SCORED_FILE} there",
        remedy="of an output in an object store, copy traffic/ and manifest.json to this machine",
    )
