"""The document of a replay and its page."""

from datetime import timedelta

import msgspec
import pytest

from contracts.replay import Replay
from contracts.traffic import TrafficRecord
from monitoring.replay.page import replay_html, write_replay
from monitoring.traffic.window import TimeWindow
from tests.conftest import Workplace
from tests.monitoring.replay.scenario import NOW, replayed, write_log


def test_the_document_and_the_page_are_written_whole(
    place: Workplace, traffic: list[TrafficRecord]
) -> None:
    bad = msgspec.structs.replace(traffic[0], prediction_id="<script>x")
    write_log(place.layout, [bad, *traffic[1:]])
    document = replayed(place, 2)
    stored, page = write_replay(place.layout, document)

    assert Replay.read(stored.read_bytes()) == document
    text = page.read_text()
    assert len(text) < 200_000
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")


@pytest.mark.usefixtures("traffic")
def test_no_traffic_is_reported(place: Workplace) -> None:
    empty = TimeWindow("tiny", None, NOW, NOW + timedelta(hours=1))
    found = replayed(place, 2, window=empty)

    assert "no traffic between" in found.sentence
    assert (found.flips.low, found.flips.high) == (0, 1)
    assert "Nothing was replayed" in replay_html(found)
