"""An episode causes one message when it starts and one when it ends, whatever fails between."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from contracts.errors import InvalidSetting
from contracts.names import Layout
from contracts.settings import Secret
from contracts.times import utc_text
from contracts.verdict import Verdict, VerdictKind, Window
from monitoring.alerting import outbox
from monitoring.alerting.episodes import AlertMessage, AlertPolicy, Alerts, alerts_after
from monitoring.alerting.notify import addresses_of, deliver
from monitoring.settings import MonitoringSettings
from monitoring.verdicts.conditions import WindowFindings, judge_conditions
from tests.monitoring.alerting.receiver import Receiver
from tests.monitoring.reporting.documents import DRIFTED
from tests.monitoring.verdict_history import DAY, MONDAY, with_conditions

# apprise 2.2 asks, as it is imported, whether this Python still has imghdr; 3.13 has not.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

ALL: list[VerdictKind] = ["stable", "drift", "quality", "performance", "unreadable", "no_traffic"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


@pytest.fixture
def second() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def verdict(day: int, decision: VerdictKind) -> Verdict:
    start = MONDAY + day * DAY
    judged = Verdict(
        verdict_id=f"tiny-1-{day}",
        model="tiny",
        version=1,
        run_id="r",
        made_at=utc_text(start),
        window=Window(
            start=utc_text(start),
            end=utc_text(start + timedelta(days=1)),
            rows=1000,
            files=1,
            torn_lines=0,
        ),
        decision=decision,
        sentence=f"tiny version 1: {decision} on day {day}",
        manifest_digest="",
        report=f"{day}.html",
    )
    return with_conditions(judged)


def drift_and_quality(day: int) -> Verdict:
    """A window that has drifted, and has data faults as well."""
    return with_conditions(replace(verdict(day, "quality"), findings=(DRIFTED,)))


def judge_windows(layout: Layout, secret: Secret, *verdicts: Verdict) -> tuple[AlertMessage, ...]:
    """What the monitor does with each verdict; gives what could not be delivered."""
    addresses = addresses_of(secret)
    left: tuple[AlertMessage, ...] = ()
    for each in verdicts:
        outbox.enqueue(layout, each, tuple(addresses))
        left = outbox.deliver_pending(layout, "tiny", addresses, deliver)
    return left


def test_an_episode_is_reported_once_and_once_when_it_is_over(
    tmp_path: Path, receiver: Receiver
) -> None:
    decisions: list[VerdictKind] = ["stable", "drift", "drift", "no_traffic", "quality", "drift"]
    decisions += ["stable", "stable", "drift"]
    days = [verdict(day, decision) for day, decision in enumerate(decisions)]

    assert judge_windows(Layout(tmp_path), Secret(receiver.url), *days) == ()
    assert [title.removeprefix("tiny version 1: ") for title in receiver.titles] == [
        *("drift", "resolved", "quality"),
        *("resolved", "drift", "resolved", "drift"),
    ]
    assert [body["type"] for body in receiver.bodies][:3] == ["failure", "success", "failure"]
    alarm, over, _, after, *_ = (body["message"] for body in receiver.bodies)
    assert "tiny version 1: drift on day 1" in alarm
    assert "report: 1.html" in alarm
    assert f"Over: drift since {utc_text(MONDAY + DAY)}.\n" in over
    assert f"Over: quality since {utc_text(MONDAY + 4 * DAY)}.\n" in after


def test_a_drift_is_reported_when_the_same_column_drifts_window_after_window(
    tmp_path: Path, receiver: Receiver
) -> None:
    layout, addresses = Layout(tmp_path), addresses_of(Secret(receiver.url))
    for day, windows in enumerate((1, 1, 2, 3)):
        drift = verdict(day, "drift")
        findings = (replace(DRIFTED, windows=windows),)
        found = WindowFindings(drift.window, is_judged=True, findings=findings)
        conditions = judge_conditions(found, [], MonitoringSettings(drift_windows=2))
        drift = replace(drift, findings=findings, conditions=conditions)
        outbox.enqueue(layout, drift, tuple(addresses))
        outbox.deliver_pending(layout, "tiny", addresses, deliver)

    assert receiver.titles == ["tiny version 1: drift"]
    assert "drift on day 2" in receiver.bodies[0]["message"]


def test_silence_is_reported_when_it_lasts_and_is_over_with_the_next_prediction(
    tmp_path: Path, receiver: Receiver
) -> None:
    """A policy of three days: two quiet days cause nothing, a third one message."""
    layout, addresses = Layout(tmp_path), addresses_of(Secret(receiver.url))
    policy = AlertPolicy(quiet_s=3 * DAY.total_seconds())
    decisions: list[VerdictKind] = ["drift", "no_traffic", "no_traffic", "stable"]
    decisions += ["no_traffic", "no_traffic", "no_traffic", "no_traffic", "drift"]
    for day, decision in enumerate(decisions):
        outbox.enqueue(layout, verdict(day, decision), tuple(addresses), policy)
        outbox.deliver_pending(layout, "tiny", addresses, deliver)

    assert receiver.titles == [
        "tiny version 1: drift",
        "tiny version 1: resolved",
        "tiny version 1: no_traffic",
        "tiny version 1: resolved",
        "tiny version 1: drift",
    ]
    assert f"Over: no_traffic since {utc_text(MONDAY + 4 * DAY)}" in receiver.bodies[3]["message"]


def test_the_same_window_judged_again_sends_nothing_again(
    tmp_path: Path, receiver: Receiver
) -> None:
    layout, secret = Layout(tmp_path), Secret(receiver.url)
    judge_windows(layout, secret, verdict(0, "drift"), verdict(0, "drift"))
    judge_windows(layout, secret, verdict(0, "stable"), verdict(0, "drift"), verdict(0, "stable"))

    assert receiver.titles == ["tiny version 1: drift", "tiny version 1: resolved"]


def test_a_message_that_fails_is_kept_logged_and_sent_with_the_next_window(
    tmp_path: Path, receiver: Receiver, second: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Each address separately: the one that answered gets nothing again."""
    layout, secret = Layout(tmp_path), Secret(f"{receiver.url}, {second.url}")
    second.status = 500
    left = judge_windows(layout, secret, verdict(0, "drift"), drift_and_quality(1))

    assert [message.title for message in left] == [
        "tiny version 1: drift",
        "tiny version 1: quality",
    ]
    assert left == outbox.pending(layout, "tiny")
    assert "error=500" in left[0].failure
    assert "'tiny version 1: drift' was not delivered: " in caplog.text
    assert second.titles == ["tiny version 1: drift"] * 2, "one try per window for a dead address"

    second.status = 200
    assert judge_windows(layout, secret, drift_and_quality(2)) == ()
    assert receiver.titles == ["tiny version 1: drift", "tiny version 1: quality"]
    assert second.titles[2:] == ["tiny version 1: drift", "tiny version 1: quality"]


def test_a_receiver_that_is_gone_stops_nothing_and_one_that_is_unnamed_is_forgotten(
    tmp_path: Path,
) -> None:
    layout = Layout(tmp_path)
    left = judge_windows(layout, Secret("json://127.0.0.1:9/"), verdict(0, "drift"))

    assert "Connection error" in left[0].failure
    assert judge_windows(layout, Secret(""), verdict(1, "drift")) == ()


def test_a_job_killed_while_it_sends_repeats_nothing_that_was_delivered(
    tmp_path: Path, receiver: Receiver
) -> None:
    layout, secret = Layout(tmp_path), Secret(receiver.url)
    for judged in (verdict(0, "drift"), drift_and_quality(1)):
        outbox.enqueue(layout, judged, tuple(addresses_of(secret)))
    receiver.hold = threading.Event()
    code = (
        "import sys\nfrom pathlib import Path\nfrom contracts.names import Layout\n"
        "from contracts.settings import Secret\nfrom monitoring.alerting import outbox\n"
        "from monitoring.alerting.notify import addresses_of, deliver\n"
        "layout, addresses = Layout(Path(sys.argv[1])), addresses_of(Secret(sys.argv[2]))\n"
        "outbox.deliver_pending(layout, 'tiny', addresses, deliver)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path), receiver.url]) as job:
        while len(receiver.bodies) < 2:
            assert receiver.arrived.wait(60)
            receiver.arrived.clear()
        os.kill(job.pid, signal.SIGKILL)
    receiver.hold.set()

    assert [m.title for m in outbox.pending(layout, "tiny")] == ["tiny version 1: quality"]
    assert outbox.deliver_pending(layout, "tiny", addresses_of(secret), deliver) == ()
    assert receiver.titles == ["tiny version 1: drift"] + ["tiny version 1: quality"] * 2


def test_addresses_are_secret_and_one_that_nobody_knows_stops_the_start(
    tmp_path: Path, receiver: Receiver
) -> None:
    two = "mailtos://me:pw@example.com?to=a@example.com,b@example.com , " + receiver.url

    assert list(addresses_of(Secret(two)).values()) == two.split(" , ")
    assert addresses_of(Secret(" ")) == {}
    for bad in ("nonsense", f"{receiver.url},nosuchscheme://secret"):
        with pytest.raises(InvalidSetting, match="SLIPWAY_MONITORING_NOTIFY") as caught:
            addresses_of(Secret(bad))
        assert "secret" not in str(caught.value)
    judge_windows(Layout(tmp_path), Secret("json://user:secret@127.0.0.1:9/"), verdict(0, "drift"))
    assert "secret" not in (tmp_path / "alerts" / "tiny.json").read_text()


def test_a_state_that_somebody_edited_is_put_aside(
    tmp_path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "alerts"
    folder.mkdir()
    (folder / "tiny.json").write_text("{")

    judge_windows(Layout(tmp_path), Secret(receiver.url), verdict(0, "drift"))
    assert receiver.titles == ["tiny version 1: drift"]
    assert (folder / "tiny.unreadable").read_text() == "{"
    assert "moved to" in caplog.text


def test_the_file_keeps_the_names_that_earlier_releases_wrote(tmp_path: Path) -> None:
    """An outbox that a release before this one left behind is read, and written as it was."""
    episode = {"kind": "drift", "since": "2026-01-05T00:00:00.000000Z", "verdict_id": "tiny-1-0"}
    message = {"key": "k", "title": "t", "body": "b", "resolved": False, "to": ["d"]}
    stored = {
        "document_version": 1,
        "episodes": [episode],
        "told": ["k"],
        "unsent": [message | {"failure": "error=500"}],
        "quiet_since": "2026-01-06T00:00:00.000000Z",
    }
    path = Layout(tmp_path).alerts("tiny")
    path.parent.mkdir()
    path.write_text(json.dumps(stored))

    (left,) = outbox.pending(Layout(tmp_path), "tiny")
    assert (left.title, left.to) == ("t", ("d",))
    assert json.loads(Alerts.read(path.read_bytes()).write_pretty()) == stored


@given(st.lists(st.sampled_from(ALL), max_size=30))
def test_messages_are_those_that_a_reader_of_the_windows_expects(
    decisions: list[VerdictKind],
) -> None:
    """Each kind once when it begins, and once when a window shows that it is over."""
    shows = {"stable", "drift", "quality", "performance"}
    expected: list[str] = []
    begun: set[str] = set()
    state = Alerts()
    for day, decision in enumerate(decisions):
        state = alerts_after(state, verdict(day, decision), ["digest"])
        # Without labels a window says nothing about performance; torn lines hide all the rest.
        over = begun - {decision, "performance"} if decision in shows else set()
        if over:
            expected.append("resolved")
            begun -= over
        if decision not in begun | {"stable", "no_traffic"}:
            expected.append(decision)
            begun.add(decision)

    assert [m.title.split(": ")[1] for m in state.pending] == expected
    assert {episode.kind for episode in state.episodes} == begun


def test_a_digest_reveals_nothing_of_its_address(receiver: Receiver) -> None:
    (digest,) = addresses_of(Secret(receiver.url))

    assert digest == hashlib.sha256(receiver.url.encode()).hexdigest()[:16]
