"""What the operations page says of a day of work, and what it says when sources are away."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import msgspec
import pytest

from contracts.errors import PlatformError, RegistryUnreachable
from contracts.files import write_whole
from contracts.labels import Label
from contracts.names import Layout
from contracts.times import utc_text
from monitoring.labels.compaction import compact_labels
from monitoring.operations.model_operations import Operations, operations_of, registry_view
from monitoring.operations.page import operations_html, script_hash
from monitoring.operations.service_counts import ServiceCounts, parsed_counts, service_counts
from monitoring.operations.verdict_series import label_state
from registry.store import Store
from tests.conftest import Workplace
from tests.monitoring.operations.conftest import BusyPlace
from tests.monitoring.operations.scenario import HOSTILE

pytestmark = pytest.mark.slow
METRICS = """\
# TYPE slipway_requests counter
slipway_requests_total{model="loan",status="200"} 5580.0
slipway_requests_total{model="loan",status="422"} 12.0
slipway_requests_total{model="loan",status="503"} 3.0
# TYPE slipway_refused counter
slipway_refused_total{model="loan",code="invalid_row"} 12.0
slipway_refused_total{model="loan",code="overloaded"} 3.0
"""


def state(
    place: BusyPlace,
    *,
    later: timedelta = timedelta(),
    store: Store | PlatformError | None = None,
    metrics: str = METRICS,
) -> Operations:
    now = place.now + later
    service = parsed_counts(metrics, now) if metrics else ServiceCounts(now, failure="it is away")
    registry = registry_view(store or place.workplace.store, now)
    return operations_of(place.workplace.layout, registry, service, hold_s=60, now=now)


def page(place: BusyPlace, **changes: object) -> str:
    return operations_html(place.workplace.layout, state(place, **changes))  # type: ignore[arg-type]  # one per test


class Words(HTMLParser):
    """The texts of a page, those of one section apart, and its tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.sections: dict[str, str] = {}
        self.tags: set[str] = set()
        self._section = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "section":
            self._section = dict(attrs)["id"] or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "section":
            self._section = ""

    def handle_data(self, data: str) -> None:
        if self.lasttag not in {"script", "style"}:
            words = f"{self.sections.get(self._section, '')} {data}"
            self.sections[self._section] = " ".join(words.split())


def test_a_page_answers_the_questions_of_an_operator(busy: BusyPlace) -> None:
    found = Words(page(busy)).sections
    loan, churn = found["loan"], found["churn"]

    assert re.search(r"version 2 since 20\d\d-", loan)
    assert f"promoted by grace {HOSTILE}" in loan
    assert "the decision" in loan
    assert "slipway rollback loan --to 1" in loan
    assert re.search(r"5xx 3 4xx 12 of 5,595 requests", loan)
    assert "refused: invalid_row 12, overloaded 3" in loan
    assert "drift since" in loan
    assert "refused" in loan
    assert "because of drift: income has drifted" in loan
    assert re.search(r"0\.\d{3} AUC by labels", loan)
    assert "Canary of version 2: step 2 of 3" in churn
    assert "1 of 318 requests failed (limit: at most 1% of requests failed)" in churn
    assert "slipway traffic-split churn challenger=off" in churn
    assert "agrees in 96.1% of 951 answers" in churn
    assert "slipway promote newcomer" in found["newcomer"]


def test_models_with_open_alerts_come_first(busy: BusyPlace) -> None:
    assert [model.name for model in state(busy).models] == ["loan", "churn", "newcomer"]


def test_the_decision_is_a_file_next_to_the_reports(busy: BusyPlace) -> None:
    (href,) = re.findall(r'href="(loan/decision-[^"]+)"', page(busy))

    text = (busy.workplace.layout.reports / href).read_text()
    assert "Checks" in text


def test_only_the_script_of_the_page_itself_may_run(busy: BusyPlace) -> None:
    html = page(busy)

    assert html.count("<script>") == 1
    assert f"script-src '{script_hash()}'" in html
    assert not Words(html).tags & {"img", "link", "iframe", "form"}
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", html)


def test_every_block_has_an_age_and_is_stale_when_it_is_old(busy: BusyPlace) -> None:
    fresh = page(busy)
    old = page(busy, later=timedelta(hours=9))

    assert fresh.count('data-at="') > 12
    assert ", stale" not in Words(fresh).sections["loan"]
    loan = Words(old).sections["loan"]
    assert "Verdicts 9 h ago, stale" in loan
    assert "Traffic, last 24 hours 9 h ago, stale" in loan
    assert "slipway monitor loan --every 15m" in loan
    assert re.search(r"step 2 of 3 \d+ h ago, stale", Words(old).sections["churn"])


def test_a_registry_that_is_away_is_named_and_files_here_are_shown(busy: BusyPlace) -> None:
    away = RegistryUnreachable("tracking server: expected an answer, got none")
    found = Words(page(busy, store=away)).sections

    assert "registry: does not answer" in found[""]
    assert "the registry does not answer: tracking server" in found["loan"]
    assert "This machine serves version 2" in found["loan"]
    assert "AUC by labels" in found["loan"]
    assert "newcomer" not in found


def test_a_service_that_is_away_is_named(busy: BusyPlace) -> None:
    found = Words(page(busy, metrics="")).sections

    assert "service: it is away" in found[""]
    assert "Errors unknown: it is away. slipway serve" in found["loan"]


def test_an_empty_installation_says_how_to_begin(tmp_path_factory: pytest.TempPathFactory) -> None:
    layout = Layout(tmp_path_factory.mktemp("empty") / "var")
    now = datetime.fromisoformat("2026-03-05T12:00:00+00:00")
    registry = registry_view(RegistryUnreachable("away"), now)
    service = service_counts("http://127.0.0.1:1", "", now)
    operations = operations_of(layout, registry, service, hold_s=60, now=now)

    html = operations_html(layout, operations)

    assert "slipway train NAME" in html
    assert "no service answers at http://127.0.0.1:1" in html
    assert not layout.var.exists()


@contextmanager
def serving(body: bytes) -> Iterator[str]:
    """A server with this body at every path; its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'slipway_requests_total{model="a"} 1\n', "expected Prometheus metrics"),
        (b'slipway_requests_total{model="a",status="200"} +Inf\n', "expected Prometheus metrics"),
        (b"\xff\xfe", "expected Prometheus metrics"),
        (b"<html>", "expected Prometheus metrics"),
        (b"#" * (8 * 1024 * 1024 + 1), "expected at most 8388608 bytes, got more"),
    ],
    ids=["no label", "no count", "no text", "a page", "too long"],
)
def test_metrics_of_something_else_are_a_failure_with_its_reason(
    body: bytes, expected: str
) -> None:
    with serving(body) as url:
        found = service_counts(url, "", datetime.now(UTC))

    assert expected in found.failure
    assert not found.models


def test_a_key_that_no_header_can_hold_is_a_failure() -> None:
    assert service_counts("http://127.0.0.1:1", "\N{SNOWMAN}", datetime.now(UTC)).failure


def test_a_password_of_the_tracking_server_is_not_on_the_page(
    busy: BusyPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(busy.workplace.store, "tracking_uri", "http://ada:secret@mlflow:5000")

    html = page(busy)

    assert "secret" not in html
    assert 'href="http://mlflow:5000/#/models/' in html


def test_compacted_labels_are_as_old_as_their_newest(workplace: Workplace) -> None:
    sent = datetime.now(UTC) - timedelta(days=20)
    path = workplace.layout.labels("loan") / "000001.jsonl"
    label = Label(prediction_id="p", truth="repaid", time=utc_text(sent))
    write_whole(path, msgspec.json.Encoder().encode_lines([label]))
    os.utime(path, (sent.timestamp(), sent.timestamp()))
    compact_labels(workplace.layout, "loan", now=datetime.now(UTC))

    found = label_state(workplace.layout, "loan", ()).freshness

    assert list(workplace.layout.labels("loan").glob("*.parquet"))
    assert found.changed_at is not None
    assert abs(found.changed_at - sent) < timedelta(days=1)
