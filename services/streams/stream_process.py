"""A stream worker as a process: opened, run until SIGTERM, closed."""

import asyncio
import gc
import logging
import signal
from dataclasses import dataclass

from contracts.errors import InvalidSetting, InvalidUsage, PortTaken
from contracts.names import Layout
from services.inference.jsonl_log import check_writable
from services.metrics import Metrics
from services.settings import ServiceSettings
from services.streams.address import StreamAddress
from services.streams.broker import AnswerSink, MessageSource
from services.streams.kafka_sink import KafkaSink
from services.streams.kafka_source import KafkaSource
from services.streams.production import ProductionVersions
from services.streams.redis_sink import RedisSink
from services.streams.redis_streams import RedisSource
from services.streams.scoring import MessageScorer
from services.streams.settings import MIN_MAX_DELIVERIES, StreamSettings
from services.streams.stream_metrics import StreamMetrics, WorkerMetrics
from services.streams.worker import StreamWorker

MAX_BATCH_MESSAGES = 10_000
GC_ALLOCATIONS = 50_000

logger = logging.getLogger("slipway.stream")


@dataclass(frozen=True)
class StreamSpec:
    """What a worker does: the model, where messages come from and where answers go."""

    model: str
    source: StreamAddress
    sink: StreamAddress
    dead_letters: StreamAddress
    group: str
    batch_messages: int = 500
    metrics_port: int = 0
    metrics_host: str = "127.0.0.1"


def run_stream(
    spec: StreamSpec, service_settings: ServiceSettings, stream_settings: StreamSettings
) -> None:
    """Answer the messages of a stream until SIGTERM or SIGINT; what is in hand is finished.

    Raises:
        PlatformError: the worker cannot start, or was stopped with messages in hand that could
            not be answered.

    """
    if not 1 <= spec.batch_messages <= MAX_BATCH_MESSAGES:
        raise InvalidUsage(
            f"--batch: expected 1 to {MAX_BATCH_MESSAGES} messages, got {spec.batch_messages}",
            remedy="slipway stream --help",
        )
    if _stream_of(spec.source) in {_stream_of(spec.sink), _stream_of(spec.dead_letters)}:
        raise InvalidUsage(
            f"--to: expected another stream than --from, got {spec.source}",
            remedy="a worker would read its own answers: choose another name",
        )
    if stream_settings.max_deliveries < MIN_MAX_DELIVERIES:
        raise InvalidSetting(
            f"SLIPWAY_STREAM_MAX_DELIVERIES: expected {MIN_MAX_DELIVERIES} or more, got "
            f"{stream_settings.max_deliveries}",
            remedy="the first ones find out which message of a batch ends its worker",
        )
    asyncio.run(_run(spec, service_settings, stream_settings))


async def _run(spec: StreamSpec, own: ServiceSettings, streams: StreamSettings) -> None:
    check_writable(Layout(own.var).all_traffic)
    metrics = WorkerMetrics(StreamMetrics(), spec.model, spec.source.name)
    versions = ProductionVersions(spec.model, own, Metrics())
    source = open_source(spec.source, spec.group, streams)
    sink, dead_letters = open_sink(spec.sink, streams), open_sink(spec.dead_letters, streams)
    try:
        await versions.open()
        for end in (source, sink, dead_letters):
            await end.open()
        worker = StreamWorker(
            source,
            sink,
            dead_letters,
            versions,
            MessageScorer(versions, own.body_bytes),
            metrics,
            batch_messages=spec.batch_messages,
            max_deliveries=streams.max_deliveries,
        )
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, worker.stop)
        _serve_metrics(spec)
        gc.collect()
        gc.freeze()
        gc.set_threshold(GC_ALLOCATIONS)
        logger.info(
            "%s version %d: %s to %s", spec.model, versions.current.version, spec.source, spec.sink
        )
        follower = asyncio.create_task(versions.follow())
        try:
            await worker.run()
        finally:
            follower.cancel()
        logger.info("stopped: nothing is in hand")
    finally:
        for end in (source, sink, dead_letters):
            await end.close()
        await versions.close()


def open_source(address: StreamAddress, group: str, settings: StreamSettings) -> MessageSource:
    """The messages of a stream for a member of a consumer group."""
    if address.is_kafka:
        return KafkaSource(address, group, settings)
    return RedisSource(
        address,
        group,
        takeover_s=settings.takeover_s,
        timeout_s=settings.timeout_s,
        max_deliveries=settings.max_deliveries,
    )


def open_sink(address: StreamAddress, settings: StreamSettings) -> AnswerSink:
    """Where answers are published."""
    if address.is_kafka:
        return KafkaSink(address, settings)
    return RedisSink(address, max_entries=settings.max_entries, timeout_s=settings.timeout_s)


def _serve_metrics(spec: StreamSpec) -> None:
    if spec.metrics_port:
        from prometheus_client import start_http_server

        try:
            start_http_server(spec.metrics_port, spec.metrics_host)
        except (OSError, OverflowError) as err:
            raise PortTaken(
                f"{spec.metrics_host}:{spec.metrics_port}: expected a free port for the metrics, "
                f"got {err}",
                remedy="pass another --metrics-port or --metrics-host",
            ) from err


def _stream_of(address: StreamAddress) -> tuple[tuple[str, ...], str, int]:
    """What is equal for two addresses of one stream, whoever uses them."""
    return address.servers, address.name, address.database
