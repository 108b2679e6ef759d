"""Earlier verdicts: which they are, and what follows from them for a new one."""

from datetime import datetime, timedelta
from pathlib import Path

from contracts.names import Layout, window_id
from monitoring.reporting.verdict_index import verdict_index_html
from monitoring.verdicts import history
from monitoring.verdicts.history import read_verdicts
from tests.monitoring.verdict_history import DAY, MONDAY, verdict, window


def test_earlier_verdicts_are_those_of_the_version_and_before(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    folder = layout.verdicts / "tiny"
    folder.mkdir(parents=True)
    for day in range(4):
        (folder / f"tiny-1-{day}.json").write_bytes(verdict(day).write())
    (folder / "tiny-1-x.json").write_text("cut off")
    (folder / "tiny-2-0.json").write_bytes(verdict(0, version=2).write())

    assert [v.sentence for v in history.earlier_verdicts(layout, window(2))] == ["day 0", "day 1"]
    assert history.streak(verdict(4), history.earlier_verdicts(layout, window(4))) == 5


def test_verdicts_that_are_known_are_not_read_again(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    folder = layout.verdicts / "tiny"
    folder.mkdir(parents=True)
    (folder / "tiny-1-0.json").write_text("cut off")
    (folder / "tiny-2-0.json").write_bytes(verdict(1, version=2).write())

    assert [v.version for v in read_verdicts(layout, "tiny")] == [2]
    assert [v.version for v in read_verdicts(layout, "tiny", known=[verdict(0)])] == [1, 2]


def test_a_window_is_past_once_a_later_one_of_its_length_was_judged(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    folder = layout.verdicts / "tiny"
    folder.mkdir(parents=True)

    def stored(start: datetime, end: datetime, version: int = 1) -> None:
        (folder / f"{window_id('tiny', version, start, end)}.json").touch()

    (folder / "tiny-1-notes.json").touch()
    stored(MONDAY, MONDAY + DAY)
    stored(MONDAY + 3 * DAY, MONDAY + 3 * DAY + timedelta(hours=1))
    stored(MONDAY + 5 * DAY, MONDAY + 6 * DAY, version=2)
    assert not history.is_past(layout, verdict(0)), "it is the newest of its length"
    assert not history.is_past(layout, verdict(1))

    stored(MONDAY + DAY / 2, MONDAY + 1.5 * DAY)
    assert not history.is_past(layout, verdict(0)), "windows that overlap are of one time"
    stored(MONDAY + DAY, MONDAY + 2 * DAY)
    assert history.is_past(layout, verdict(0))
    assert not history.is_past(layout, verdict(1))


def test_the_index_lists_every_window_and_escapes() -> None:
    page = verdict_index_html("tiny", [verdict(0), verdict(1, sentence="<script>")])

    assert page.index("&lt;script&gt;") < page.index("day 0")
    assert 'href="0.html"' in page
    assert "<script>" not in page
