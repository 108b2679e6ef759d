"""The Kafka client, librdkafka: its settings, and its errors as ours."""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contracts.errors import InvalidSetting, InvalidUsage, NotFoundHere, PlatformError
from services.streams.address import StreamAddress
from services.streams.broker import BrokerUnavailable
from services.streams.settings import StreamSettings

_SETTING = re.compile(r"\s*([a-z][a-z0-9._]*)\s*=\s*(.*?)\s*")
START_BROKER = "start the broker, or check the address"

logger = logging.getLogger("slipway.stream")


def client_config(address: StreamAddress, settings: StreamSettings) -> dict[str, Any]:
    """What consumers and producers have in common.

    Raises:
        InvalidUsage: the address has a user or password.
        InvalidSetting: the file of further settings cannot be read.

    """
    if address.user:
        raise InvalidUsage(
            f"{address}: expected no user in a Kafka address",
            remedy="write sasl.username and sasl.password to a file, and its path to "
            "SLIPWAY_STREAM_KAFKA_CONFIG",
        )
    return {
        **_from_file(settings.kafka_config),
        "bootstrap.servers": ",".join(address.servers),
        "client.id": "slipway",
        "socket.timeout.ms": max(1000, int(settings.timeout_s * 1e3)),
        "reconnect.backoff.max.ms": 2000,
        "allow.auto.create.topics": False,
    }


def new_client(make: Any, config: Mapping[str, Any]) -> Any:
    """A consumer or producer of librdkafka.

    Raises:
        InvalidSetting: it refuses a setting.

    """
    from confluent_kafka import KafkaException

    try:
        return make(dict(config), logger=logger)
    except KafkaException as err:
        raise InvalidSetting(
            f"SLIPWAY_STREAM_KAFKA_CONFIG: expected settings of librdkafka, got a refusal: "
            f"{err.args[0].str()}",
            remedy="correct the file, SLIPWAY_STREAM_TAKEOVER_S or SLIPWAY_STREAM_TIMEOUT_S; see "
            "librdkafka's CONFIGURATION.md",
        ) from err


def _from_file(path: str) -> Mapping[str, str]:
    if not path:
        return {}
    variable = "SLIPWAY_STREAM_KAFKA_CONFIG"
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as err:
        raise InvalidSetting(
            f"{variable}: expected a readable file, got {err}", remedy="check the path"
        ) from err
    found = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _SETTING.fullmatch(line)
        if match is None:
            raise InvalidSetting(
                f"{variable}: line {number} of {path}: expected name=value",
                remedy="as in librdkafka's CONFIGURATION.md: security.protocol=SASL_SSL",
            )
        found[match[1]] = match[2]
    return found


def check_topic(client: Any, address: StreamAddress, timeout_s: float) -> None:
    """Check that the broker answers and has the topic.

    Raises:
        NotFoundHere: it has no such topic.
        BrokerUnavailable: it does not answer.

    """
    from confluent_kafka import KafkaError, KafkaException

    try:
        topic = client.list_topics(address.name, timeout=timeout_s).topics[address.name]
    except KafkaException as err:
        raise broker_error(address, err.args[0]) from err
    if topic.error is not None:
        code = topic.error.code()
        if code in {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC}:  # noqa: SLF001 - librdkafka's own codes are named so
            raise NotFoundHere(
                f"{address}: expected a topic, got none of this name",
                remedy=f"kafka-topics.sh --bootstrap-server {address.servers[0]} --create "
                f"--topic {address.name} --partitions 3",
            )
        raise broker_error(address, topic.error)


def broker_error(address: StreamAddress, error: Any) -> PlatformError:
    """An error of librdkafka as ours, with what to do about it."""
    from confluent_kafka import KafkaError

    text = f"{address}: {error.str()}"
    denied = {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError._AUTHENTICATION,  # noqa: SLF001 - as above
    }
    if error.code() in denied:
        return PlatformError(
            text,
            remedy="grant the user READ on the group and the topic of --from and WRITE on the "
            "others, or correct SLIPWAY_STREAM_KAFKA_CONFIG",
        )
    return BrokerUnavailable(text, remedy=START_BROKER)


def require_kafka() -> None:
    """Check that the client is installed.

    Raises:
        PlatformError: it is not.

    """
    try:
        import confluent_kafka
    except ModuleNotFoundError as err:
        raise PlatformError(
            "kafka:// needs the library confluent-kafka, which is not installed",
            remedy="pip install 'slipway[kafka]'",
        ) from err
    logger.debug("librdkafka %s", confluent_kafka.libversion()[0])
