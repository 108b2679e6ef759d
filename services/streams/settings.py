"""The settings of stream workers, from the environment."""

from dataclasses import dataclass

from contracts.settings import setting

ALONE_FROM_DELIVERIES = 2
"""A message whose workers died this often is answered alone: one of its batch ended them."""
MIN_MAX_DELIVERIES = ALONE_FROM_DELIVERIES + 1
"""With fewer, messages that were only next to the fatal one would be given up with it."""


@dataclass(frozen=True)
class StreamSettings:
    """Settings of a stream worker, read when it starts; those of the service hold as well."""

    takeover_s: float = setting(
        "SLIPWAY_STREAM_TAKEOVER_S",
        30.0,
        "seconds without an acknowledgement after which another worker takes over a message "
        "(Redis)",
    )
    max_deliveries: int = setting(
        "SLIPWAY_STREAM_MAX_DELIVERIES",
        5,
        "workers that may die in a row with a message in hand; then it is a dead letter; 3 or more",
    )
    timeout_s: float = setting(
        "SLIPWAY_STREAM_TIMEOUT_S", 10.0, "seconds to wait for an answer of the broker"
    )
    max_entries: int = setting(
        "SLIPWAY_STREAM_MAX_ENTRIES",
        0,
        "length to which the streams of predictions and dead letters are trimmed (Redis); "
        "0 for never",
    )
    kafka_config: str = setting(
        "SLIPWAY_STREAM_KAFKA_CONFIG",
        "",
        "file with further settings of the Kafka client, such as TLS and SASL: name=value lines",
    )
