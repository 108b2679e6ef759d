"""A broker that is away, slow or restarted, a full disk: nothing is lost, and a text says why."""

import asyncio
import json
import resource
from collections.abc import Awaitable
from pathlib import Path

import pytest
from msgspec.structs import replace

from contracts.errors import InvalidUsage, NotFoundHere, PlatformError
from services.streams.address import parse_address
from services.streams.broker import BrokerUnavailable
from services.streams.message import StreamAnswer, StreamMessage, VersionPin
from services.streams.redis_sink import RedisSink
from services.streams.redis_streams import RedisSource
from tests.services.conftest import ROOT
from tests.services.streams.conftest import (
    RedisServer,
    StartWorker,
    await_true,
    is_done,
    row_body,
)
from tests.slipway.conftest import free_port

pytestmark = pytest.mark.slow
PIN = VersionPin(1, "ab" * 32)


def source_of(url: str, timeout_s: float = 2.0) -> RedisSource:
    address = parse_address(url, "--from")
    return RedisSource(
        address, "slipway-tiny", takeover_s=0.1, timeout_s=timeout_s, max_deliveries=5
    )


def run_with(end: RedisSource | RedisSink, call: Awaitable[object]) -> None:
    """Run a call of one end of a worker, and close the end."""

    async def story() -> None:
        try:
            await call
        finally:
            await end.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    "url",
    ["http://a/b", "redis://a", "redis://a,b/c", "redis://a/b?x=1", "kafka://a/b c", "redis:///x"],
)
def test_an_address_that_names_no_stream_is_refused(url: str) -> None:
    with pytest.raises(InvalidUsage, match="--from: expected"):
        parse_address(url, "--from")


def test_an_error_never_shows_a_password() -> None:
    address = parse_address("redis://ada:secret@127.0.0.1/requests", "--from")
    with pytest.raises(InvalidUsage) as refused:
        parse_address("redis://ada:secret@127.0.0.1", "--to")

    assert "secret" not in f"{address} {address!r} {refused.value}"


def test_a_broker_that_is_away_at_the_start_ends_it_with_a_remedy() -> None:
    source = source_of(f"redis://127.0.0.1:{free_port()}/requests")

    with pytest.raises(BrokerUnavailable, match="expected an answer") as failed:
        run_with(source, source.open())
    assert "start Redis" in failed.value.remedy


def test_a_stream_that_is_missing_ends_it_with_a_remedy(redis_server: RedisServer) -> None:
    redis_server.client.set("word", "x")
    expected = {"nowhere": "got none", "word": "got string"}
    for name, text in expected.items():
        source = source_of(f"{redis_server.url}/{name}")
        with pytest.raises(NotFoundHere, match=text) as failed:
            run_with(source, source.open())
        assert f"XGROUP CREATE {name} slipway-tiny 0 MKSTREAM" in failed.value.remedy
    sink = RedisSink(parse_address(f"{redis_server.url}/word", "--to"), max_entries=0, timeout_s=2)
    with pytest.raises(NotFoundHere, match="expected a stream, got a string"):
        run_with(sink, sink.open())


def test_what_redis_refuses_is_an_error_with_its_text(redis_server: RedisServer) -> None:
    redis_server.client.set("word", "x")
    sink = RedisSink(parse_address(f"{redis_server.url}/word", "--to"), max_entries=0, timeout_s=2)
    message = StreamMessage(
        stream="s", partition=0, offset="1-0", time_ms=1, body=b"", correlation="", pin=PIN
    )

    with pytest.raises(PlatformError, match="WRONGTYPE"):
        run_with(sink, sink.publish([StreamAnswer(message, b"{}")]))


def test_a_user_who_may_not_write_is_refused_at_the_start(redis_server: RedisServer) -> None:
    redis_server.client.execute_command(
        "ACL", "SETUSER", "reader", "on", ">secret", "~*", "+@read", "+type", "+xgroup"
    )
    redis_server.client.xadd("denied", {"body": "{}"})
    url = redis_server.url.replace("redis://", "redis://reader:secret@")
    sink = RedisSink(parse_address(f"{url}/denied.out", "--to"), max_entries=0, timeout_s=2)
    with pytest.raises(PlatformError, match="access denied") as failed:
        run_with(sink, sink.open())
    assert "ACL SETUSER" in failed.value.remedy
    assert "secret" not in str(failed.value)
    redis_server.client.execute_command("ACL", "SETUSER", "reader", "+eval")
    sink = RedisSink(parse_address(f"{url}/denied.out", "--to"), max_entries=0, timeout_s=2)
    with pytest.raises(PlatformError, match="XADD: access denied"):
        run_with(sink, sink.open())
    redis_server.client.execute_command("ACL", "SETUSER", "reader", "+@stream")
    sink = RedisSink(parse_address(f"{url}/denied.out", "--to"), max_entries=0, timeout_s=2)
    run_with(sink, sink.open())
    assert not redis_server.client.exists("denied.out")


FATAL_BODY = """
import os
import services.streams.scoring as scoring
original = scoring.operation_for
def operation_for(body):
    if b"fatal" in body:
        os.kill(os.getpid(), 9)
    return original(body)
scoring.operation_for = operation_for
"""


def test_a_message_that_kills_its_worker_becomes_a_dead_letter(
    redis_server: RedisServer, stream: str, start_worker: StartWorker, tmp_path: Path
) -> None:
    """Messages of the same batch are answered, however many workers it takes."""
    (tmp_path / "sitecustomize.py").write_text(FATAL_BODY)
    bodies = [row_body(i) for i in range(30)]
    fatal = b'{"fatal": 1}'
    redis_server.add(stream, [*bodies[:15], fatal, *bodies[15:]])
    n_killed = 0
    worker = None
    while not (redis_server.client.exists(f"{stream}.dead-letters")):
        worker = start_worker(
            f"{redis_server.url}/{stream}",
            PYTHONPATH=f"{tmp_path}:{ROOT}",
            SLIPWAY_STREAM_MAX_DELIVERIES="3",
        )
        process = worker.process
        await_true(
            lambda p=process: (
                p.poll() is not None  # type: ignore[misc]  # bound at once
                or redis_server.client.exists(f"{stream}.dead-letters")
            ),
            60,
        )
        n_killed += process.poll() == -9
        assert n_killed <= 3, worker.text()
    await_true(lambda: is_done(redis_server, stream))
    assert worker is not None
    assert worker.stop() == 0
    (letter,) = redis_server.entries(f"{stream}.dead-letters")

    assert n_killed == 3
    assert letter[b"body"] == fatal
    assert b"3 workers that died in a row" in letter[b"error"]
    answers = redis_server.entries(f"{stream}.out")
    ids = {json.loads(each[b"body"])["prediction_id"] for each in answers}
    assert len(ids) == len(answers) == len(bodies)


def test_fewer_deliveries_than_find_the_fatal_message_are_refused(
    redis_server: RedisServer, start_worker: StartWorker
) -> None:
    worker = start_worker(f"{redis_server.url}/any", SLIPWAY_STREAM_MAX_DELIVERIES="2")
    assert worker.process.wait(60) == 1
    assert "SLIPWAY_STREAM_MAX_DELIVERIES: expected 3 or more, got 2" in worker.text()


def test_streams_are_trimmed_to_the_length_that_is_set(redis_server: RedisServer) -> None:
    address = parse_address(f"{redis_server.url}/trimmed", "--to")
    message = StreamMessage(
        stream="s", partition=0, offset="1-0", time_ms=1, body=b"", correlation="", pin=PIN
    )

    async def publish() -> None:
        sink = RedisSink(address, max_entries=100, timeout_s=5)
        for _ in range(10):
            await sink.publish([StreamAnswer(message, b"{}")] * 100)
        await sink.close()

    asyncio.run(publish())
    assert 100 <= redis_server.client.xlen("trimmed") < 400


def test_messages_that_were_trimmed_are_given_up(
    redis_server: RedisServer, stream: str, caplog: pytest.LogCaptureFixture
) -> None:
    """They were in the hands of a worker that died; what is left is taken over."""
    redis_server.add(stream, [row_body(i) for i in range(6)])

    async def story() -> list[list[StreamMessage]]:
        first, second = (source_of(f"{redis_server.url}/{stream}") for _ in range(2))
        await first.open()
        read = await first.read(10, PIN)
        await asyncio.sleep(0.2)
        redis_server.client.xtrim(stream, maxlen=2, approximate=False)
        taken = await second.read(10, VersionPin(2, "cd"))
        await second.acknowledge(taken, PIN)
        await first.close()
        await second.close()
        return [read, taken]

    read, taken = asyncio.run(story())

    assert [replace(each, deliveries=0) for each in taken] == read[4:]
    assert {each.deliveries for each in taken} == {1}
    assert "took over 2 messages" in caplog.text
    assert is_done(redis_server, stream)


def test_a_broker_that_is_slow_and_restarted_loses_nothing(
    tmp_path: Path, start_worker: StartWorker, stream: str
) -> None:
    server = RedisServer(tmp_path)
    server.start()
    server.add(stream, [row_body(i) for i in range(50)])
    worker = start_worker(f"{server.url}/{stream}", SLIPWAY_STREAM_TIMEOUT_S="0.5")
    await_true(lambda: server.client.xlen(f"{stream}.out") == 50)
    server.client.client_pause(2500)
    await_true(lambda: "expected an answer within 0.5 s" in worker.text())
    await_true(lambda: "succeeds again" in worker.text())
    server.stop()
    await_true(lambda: worker.text().count("expected an answer") > 1)
    server.start()
    server.add(stream, [row_body(i) for i in range(50, 100)])
    await_true(lambda: is_done(server, stream))
    ids = {json.loads(e[b"body"])["prediction_id"] for e in server.entries(f"{stream}.out")}
    code = worker.stop()
    server.client.close()
    server.stop()

    assert len(ids) == 100
    assert "help: start Redis" in worker.text()
    assert code == 0


def test_no_prediction_is_published_that_the_full_disk_does_not_record(
    redis_server: RedisServer, start_worker: StartWorker, stream: str
) -> None:
    """The first worker's files stop at 20 kB; the second one has the space that it needs."""
    redis_server.add(stream, [row_body(i) for i in range(200)])

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    url = f"{redis_server.url}/{stream}"
    # Python would cut a module's bytecode off at the limit, and every later process reads it.
    full = start_worker(url, "--batch", "40", preexec=limit, PYTHONDONTWRITEBYTECODE="1")
    await_true(lambda: "messages wait: traffic_log_unavailable" in full.text())
    n_published = redis_server.client.xlen(f"{stream}.out")
    code = full.stop()
    start_worker(url)
    await_true(lambda: is_done(redis_server, stream))
    entries = redis_server.entries(f"{stream}.out")

    assert 0 < n_published < 200
    assert "help: free space below SLIPWAY_VAR" in full.text()
    assert "stopped with 40 messages in hand" in full.text()
    assert code == 1
    assert len({json.loads(e[b"body"])["prediction_id"] for e in entries}) == len(entries) == 200
