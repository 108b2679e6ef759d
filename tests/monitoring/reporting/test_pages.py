"""Every branch of every page is rendered, since no type checker reads templates.

The pages are whole, and show what data or people wrote as text.
"""

from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from msgspec.structs import replace

from monitoring.experiment.page import experiment_html
from monitoring.replay.page import replay_html
from monitoring.reporting.drift_report import drift_report_html
from monitoring.reporting.verdict_index import verdict_index_html
from tests.monitoring.reporting.documents import (
    ATTACK,
    experiments_of_every_kind,
    full_verdict,
    histograms,
    replays_of_every_kind,
    verdicts_of_every_kind,
)


class Reader(HTMLParser):
    """The tags and texts that a browser would take from a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def pages() -> Iterator[tuple[str, str]]:
    earlier = verdicts_of_every_kind()
    for verdict in [full_verdict(), *earlier]:
        yield (
            f"report of {verdict.decision}",
            drift_report_html(
                verdict,
                earlier=earlier,
                histograms=histograms(verdict),
                tracking_uri="http://127.0.0.1:5000/",
                note=ATTACK,
            ),
        )
    yield "index", verdict_index_html(ATTACK, [*earlier, full_verdict()])
    for replay in replays_of_every_kind():
        yield f"replay of {replay.task}", replay_html(replay)
    for experiment in experiments_of_every_kind():
        yield f"experiment {experiment.outcome}", experiment_html(experiment)


@pytest.mark.parametrize("page", [pytest.param(page, id=name) for name, page in pages()])
def test_a_page_is_whole_and_shows_text_as_text(page: str) -> None:
    found = Reader(page)

    assert found.open == []
    assert not {"script", "img", "link", "iframe"} & set(found.tags)
    assert "None" not in " ".join(found.texts)
    assert len(page) < 200_000


def test_a_report_shows_what_the_verdict_says() -> None:
    verdict = full_verdict()
    text = " ".join(" ".join(Reader(drift_report_html(verdict)).texts).split())

    for part in (
        ATTACK,
        "3 torn lines skipped",
        "1 unreadable file skipped",
        "1,200 rows of other versions",
        "3 windows in a row",
        "80% of it in",
        "(no alarm)",
        "900 labels, 18% of the predictions",
        "2 labels of unknown predictions",
        "AUC 0.790 (0.800 at training); in 5 earlier windows with labels it was off by 0.030",
        "performance for 1 window in a row",
        "total variation",
        "< 1e-300",
        "in 3 equal parts, of at most 7 rows",
        "Evidently's report draws each column of a sample",
    ):
        assert part in text, part


def test_the_command_to_accept_a_window_can_be_copied() -> None:
    verdict = next(v for v in verdicts_of_every_kind() if v.decision == "drift")
    text = " ".join(" ".join(Reader(drift_report_html(verdict)).texts).split())

    assert f'slipway accept {verdict.model} {verdict.verdict_id} --because "why"' in text


def test_a_long_verdict_is_cut_and_says_so() -> None:
    """200 columns and 40 segments: the verdict's JSON has all."""
    verdict = full_verdict()
    assert verdict.performance is not None
    columns = tuple(replace(verdict.findings[0], column=f"column_{i}") for i in range(200))
    segments = tuple(replace(verdict.performance.segments[0], value=str(i)) for i in range(40))
    page = drift_report_html(
        replace(
            verdict, findings=columns, performance=replace(verdict.performance, segments=segments)
        )
    )

    assert "80 more columns are in the verdict." in page
    assert "40 segments compared" in page
    assert page.count("<td>region = ") == 20
    assert len(page) < 200_000


def test_the_index_lists_the_newest_window_first() -> None:
    verdicts = [replace(full_verdict(), report=f"var/reports/loan/{i}.html") for i in range(3)]
    page = verdict_index_html("loan", verdicts)

    assert [page.index(f'href="{i}.html"') for i in (2, 1, 0)] == sorted(
        page.index(f'href="{i}.html"') for i in range(3)
    )
