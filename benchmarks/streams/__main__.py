"""Stream workers: messages a second on one core, and what is left after kills and swaps.

    python -m benchmarks.streams [--messages 200000] [--kills 100] [--kafka-kills 10]

Speed: one worker on one core, the broker on the other; messages a second of wall time and of the
worker's CPU time. Kills: three workers, each kill -9 at a random moment while messages arrive and,
in Redis, production moves between two versions. The exit code is 1 if a bar is missed: 20,000
messages a second of CPU time with the faster broker; an answer for each message, one id for each
message, and equal bytes for all answers to it.
"""

import argparse
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.streams.brokers import (
    KAFKA_SESSION_S,
    Broker,
    RedisBroker,
    kafka_broker,
    prediction_ids,
    redis_broker,
)
from benchmarks.streams.testbed import Testbed, await_true, cpu_s, testbed

BAR_PER_S = 20_000
SEED = 13
N_WORKERS = 3
WORKER_CORE = 1


def main() -> None:
    """Measure both brokers; exits with 1 if a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.streams", description=__doc__)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--kafka-kills", type=int, default=10)
    wanted = parser.parse_args()
    rates, is_whole = [], True
    with testbed() as place:
        for kills, opened in (
            (wanted.kills, redis_broker(place.root)),
            (wanted.kafka_kills, kafka_broker()),
        ):
            with opened as broker:
                rates.append(speed(place, broker, wanted.messages))
                is_whole &= not kills or survives(place, broker, kills)
    sys.exit(0 if max(rates) >= BAR_PER_S and is_whole else 1)


def speed(place: Testbed, broker: Broker, n_messages: int) -> float:
    """Print and return the messages a second of the worker's CPU time."""
    stream = "speed"
    broker.make(stream)
    bodies = [place.bodies[i % len(place.bodies)] for i in range(n_messages)]
    broker.send(stream, bodies)
    with _one_worker(place, broker, stream) as worker:
        n_before, cpu_before, begin = broker.n_answers(stream), cpu_s(worker), time.monotonic()
        await_true(lambda: broker.n_answers(stream) >= n_messages, 600)
        taken_s, used_s = time.monotonic() - begin, cpu_s(worker) - cpu_before
    n_done = n_messages - n_before
    _say(
        f"{broker.name}: {n_done / taken_s:,.0f} messages/s of wall time, "
        f"{n_done / used_s:,.0f} of the worker's CPU time ({1e6 * used_s / n_done:.1f} us each)"
    )
    return n_done / used_s


@contextmanager
def _one_worker(place: Testbed, broker: Broker, stream: str) -> "Iterator[subprocess.Popen[bytes]]":
    worker = place.start_worker(
        broker.url(stream),
        core=WORKER_CORE,
        SLIPWAY_STREAM_TAKEOVER_S=str(KAFKA_SESSION_S),
    )
    await_true(lambda: broker.n_answers(stream) > 0, 120)
    yield worker
    place.stop_workers()


def survives(place: Testbed, broker: Broker, n_kills: int) -> bool:
    """Whether every message has an answer, one id, and equal bytes, after kills; printed."""
    chance, stream, url = random.Random(SEED), "kills", broker.url("kills")
    is_redis = isinstance(broker, RedisBroker)
    takeover_s = "1" if is_redis else str(KAFKA_SESSION_S)
    broker.make(stream)
    n_sent = 0

    def start() -> "subprocess.Popen[bytes]":
        return place.start_worker(url, "--batch", "100", SLIPWAY_STREAM_TAKEOVER_S=takeover_s)

    workers = [start() for _ in range(N_WORKERS)]
    for kill in range(n_kills):
        bodies = [place.bodies[i % len(place.bodies)] for i in range(n_sent, n_sent + 1000)]
        broker.send(stream, bodies)
        n_sent += len(bodies)
        time.sleep(chance.uniform(0.1, 1.5) if is_redis else chance.uniform(2, 12))
        workers[kill % N_WORKERS].kill()
        workers[kill % N_WORKERS].wait(30)
        if is_redis:
            place.promote(1 + kill % 2)
        workers[kill % N_WORKERS] = start()
    await_true(lambda: len(broker.answers(stream)) >= n_sent, 300)
    codes = place.stop_workers()
    answers = broker.answers(stream)
    ids = set().union(*map(prediction_ids, answers.values()))
    n_repeated = sum(len(bodies) > 1 for bodies in answers.values())
    n_different = sum(len(set(bodies)) > 1 for bodies in answers.values())
    _say(
        f"{broker.name}: {n_kills} kills, {n_sent:,} messages: {len(answers):,} answered, "
        f"{len(ids):,} ids, {n_repeated:,} answered again, {n_different} of them differently; "
        f"exit codes {codes}"
    )
    return len(answers) == len(ids) == n_sent and not n_different and not any(codes)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
