"""The document of an experiment and its page."""

from contracts.experiment import Experiment
from contracts.names import Layout
from monitoring.experiment.page import write_experiment
from tests.monitoring.experiment.scenario import (
    analyse,
    draw_rows,
    traffic_lines,
    write_labels,
    write_log,
)


def test_the_document_and_the_page_are_written_whole(layout: Layout) -> None:
    rows = draw_rows(gain=0.5)
    lines = [line | {"variant": "<script>" * (i == 0) or line["variant"]} for i, line in
             enumerate(traffic_lines(rows))]  # fmt: skip
    write_log(layout, lines)
    write_labels(layout, rows)
    document = analyse(layout)
    stored, page = write_experiment(layout, document)

    assert Experiment.read(stored.read_bytes()) == document
    text = page.read_text()
    assert len(text) < 200_000
    assert "<script" not in text
    assert "http" not in text.replace("http-equiv", "")
    assert "<polygon" in text
