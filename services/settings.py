"""The settings of the service, from the environment."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from contracts.errors import InvalidSetting
from contracts.settings import Secret, setting

MAX_PORT = 65535


KeyMode = Literal["auto", "required", "off"]
"""Whether requests need an API key; `auto` decides by the address."""


@dataclass(frozen=True)
class ServiceSettings:
    """Settings of the service, read when a worker starts."""

    var: Path = setting("SLIPWAY_VAR", Path("var"), "folder of models, traffic and reports")
    workers: int = setting("SLIPWAY_SERVICE_WORKERS", 1, "worker processes")
    pull: bool = setting(
        "SLIPWAY_SERVICE_PULL", default=True, meaning="pull the models in production before serving"
    )
    follow: Literal["auto", "on", "off"] = setting(
        "SLIPWAY_SERVICE_FOLLOW",
        "auto",
        "follow production while serving: on, off, or auto (on where models are pulled)",
    )
    batch_rows: int = setting("SLIPWAY_SERVICE_BATCH_ROWS", 512, "maximum rows in one model call")
    queue_rows: int = setting(
        "SLIPWAY_SERVICE_QUEUE_ROWS", 8192, "rows that may wait per model; more get 503"
    )
    request_rows: int = setting(
        "SLIPWAY_SERVICE_REQUEST_ROWS", 4096, "maximum rows in one batch request"
    )
    body_bytes: int = setting(
        "SLIPWAY_SERVICE_BODY_BYTES", 4 * 1024 * 1024, "largest request body; more get 413"
    )
    body_timeout_s: float = setting(
        "SLIPWAY_SERVICE_BODY_TIMEOUT_S",
        10.0,
        "seconds for a head, and for a body, to arrive; then 408",
    )
    connections: int = setting(
        "SLIPWAY_SERVICE_CONNECTIONS",
        0,
        "open connections per worker; more get 503; 0 for what its file descriptors allow",
    )
    connections_per_address: int = setting(
        "SLIPWAY_SERVICE_CONNECTIONS_PER_ADDRESS",
        0,
        "open connections per client address and worker; more get 503; 0 for no limit",
    )
    deadline_s: float = setting(
        "SLIPWAY_SERVICE_DEADLINE_S", 5.0, "seconds a row may wait for its model; then 503"
    )
    grpc_port: int = setting(
        "SLIPWAY_SERVICE_GRPC_PORT", 0, "port of the service over gRPC; 0 for none"
    )
    grpc_host: str = setting(
        "SLIPWAY_SERVICE_GRPC_HOST", "", "address of the service over gRPC; default: that of HTTP"
    )
    grpc_cert_file: str = setting(
        "SLIPWAY_SERVICE_GRPC_CERT_FILE",
        "",
        "certificate chain of gRPC, PEM; default: that of bentoml serve --ssl-certfile",
    )
    grpc_key_file: str = setting(
        "SLIPWAY_SERVICE_GRPC_KEY_FILE",
        "",
        "private key of gRPC, PEM; default: that of bentoml serve --ssl-keyfile",
    )
    grpc_client_ca_file: str = setting(
        "SLIPWAY_SERVICE_GRPC_CLIENT_CA_FILE",
        "",
        "certificates of the authorities whose clients gRPC admits, PEM; default: all clients",
    )
    scoring_processes: int = setting(
        "SLIPWAY_SERVICE_SCORING_PROCESSES",
        1,
        "processes per worker for each model that is scored outside the worker",
    )
    scoring_growth_bytes: int = setting(
        "SLIPWAY_SERVICE_SCORING_GROWTH_BYTES",
        1024**3,
        "memory that such a process may add before it is replaced; 0 for no limit",
    )
    drain_s: float = setting(
        "SLIPWAY_SERVICE_DRAIN_S",
        0.5,
        "seconds between SIGTERM, when /readyz turns to 503, and the end of new connections",
    )
    traffic_on_error: Literal["refuse", "drop"] = setting(
        "SLIPWAY_SERVICE_TRAFFIC_ON_ERROR",
        "refuse",
        "when the traffic log cannot be written: refuse predictions, or drop records",
    )
    log_format: Literal["text", "json"] = setting(
        "SLIPWAY_SERVICE_LOG_FORMAT", "text", "log lines of the service: text, or json"
    )
    trace: bool = setting(
        "SLIPWAY_SERVICE_TRACE",
        default=False,
        meaning="log the trace id of a request with traceparent, and answer with traceparent",
    )
    ready_without_log: bool = setting(
        "SLIPWAY_SERVICE_READY_WITHOUT_LOG",
        default=False,
        meaning="stay ready while predictions are refused for lack of a traffic log",
    )
    log_file_bytes: int = setting(
        "SLIPWAY_SERVICE_SEGMENT_BYTES",
        128 * 1024 * 1024,
        "size at which a log file is closed and a new one begins",
    )
    shadow_days: int = setting(
        "SLIPWAY_SERVICE_SHADOW_DAYS", 14, "days for which shadow records are kept"
    )
    shadow_core: float = setting(
        "SLIPWAY_SERVICE_SHADOW_CORE",
        0.005,
        "share of one core for scoring shadows and canaries",
    )
    keys: KeyMode = setting(
        "SLIPWAY_SERVICE_KEYS",
        "auto",
        "API keys: required, off, or auto (off on a loopback address, else required)",
    )
    keys_file: str = setting(
        "SLIPWAY_SERVICE_KEYS_FILE", "", "file with the API keys; default: keys.json in SLIPWAY_VAR"
    )
    redis_url: Secret = setting(
        "SLIPWAY_SERVICE_REDIS_URL",
        Secret(""),
        "Redis for rate limits and result caches; default: in process",
    )
    redis_timeout_s: float = setting(
        "SLIPWAY_SERVICE_REDIS_TIMEOUT_S",
        0.05,
        "Redis timeout in seconds; after it the service continues without Redis",
    )
    cache_models: str = setting(
        "SLIPWAY_SERVICE_CACHE", "", "models with a result cache, separated by commas; * for all"
    )
    cache_ttl_s: float = setting(
        "SLIPWAY_SERVICE_CACHE_TTL_S", 60.0, "seconds for which a result is cached"
    )
    cache_rows: int = setting(
        "SLIPWAY_SERVICE_CACHE_ROWS", 100_000, "results cached in process, per model and worker"
    )
    jobs_workers: int = setting(
        "SLIPWAY_SERVICE_JOBS_WORKERS",
        1,
        "processes next to the service that score jobs; 0 for none on this machine",
    )
    jobs_niceness: int = setting(
        "SLIPWAY_SERVICE_JOBS_NICENESS",
        19,
        "niceness of these processes; 19 leaves them only idle cores",
    )
    jobs_body_bytes: int = setting(
        "SLIPWAY_SERVICE_JOBS_BODY_BYTES", 16 * 1024 * 1024, "largest body of a job; more get 413"
    )
    jobs_rows: int = setting("SLIPWAY_SERVICE_JOBS_ROWS", 1_000_000, "maximum rows of a job")
    jobs_open: int = setting(
        "SLIPWAY_SERVICE_JOBS_OPEN", 1000, "open jobs of an API key; more get 429"
    )
    jobs_min_free_bytes: int = setting(
        "SLIPWAY_SERVICE_JOBS_MIN_FREE_BYTES",
        256 * 1024 * 1024,
        "free bytes of the disk below which no job is accepted (503) and none is scored, so that "
        "jobs leave room for the traffic log; 0 for no limit",
    )
    jobs_chunk_rows: int = setting(
        "SLIPWAY_SERVICE_JOBS_CHUNK_ROWS", 1000, "rows of a job in one model call"
    )
    jobs_chunk_timeout_s: float = setting(
        "SLIPWAY_SERVICE_JOBS_CHUNK_TIMEOUT_S", 60.0, "seconds for a chunk; then it is tried again"
    )
    jobs_lease_s: float = setting(
        "SLIPWAY_SERVICE_JOBS_LEASE_S",
        15.0,
        "seconds after which the job of a worker that is silent goes to another",
    )
    jobs_attempts: int = setting(
        "SLIPWAY_SERVICE_JOBS_ATTEMPTS", 3, "attempts at a chunk before its job has failed"
    )
    jobs_retention_s: float = setting(
        "SLIPWAY_SERVICE_JOBS_RETENTION_S",
        7 * 86400.0,
        "seconds for which a job and its results are kept after its end",
    )
    jobs_input_folder: str = setting(
        "SLIPWAY_SERVICE_JOBS_INPUT_FOLDER",
        "",
        "folder whose files clients may name as the input of a job; default: none",
    )
    jobs_callback_hosts: str = setting(
        "SLIPWAY_SERVICE_JOBS_CALLBACK_HOSTS",
        "",
        "hosts that clients may name for notifications, separated by commas; default: none",
    )
    jobs_callback_secret: Secret = setting(
        "SLIPWAY_SERVICE_JOBS_CALLBACK_SECRET",
        Secret(""),
        "key that signs notifications: whsec_ and base 64",
    )

    def __post_init__(self) -> None:
        """Check the share of a core, and the port and the certificate of gRPC.

        Raises:
            InvalidSetting: the share is not above 0 and at most 1, the port is none, or one of
                certificate and key is missing.

        """
        if not 0 <= self.grpc_port <= MAX_PORT:
            raise InvalidSetting(
                f"SLIPWAY_SERVICE_GRPC_PORT: expected 0 to {MAX_PORT}, got {self.grpc_port}",
                remedy="set it to a free port, or unset it to serve HTTP only",
            )
        if bool(self.grpc_cert_file) != bool(self.grpc_key_file):
            raise InvalidSetting(
                "SLIPWAY_SERVICE_GRPC_CERT_FILE and SLIPWAY_SERVICE_GRPC_KEY_FILE: expected both "
                "or none, got one",
                remedy="set both to serve gRPC over TLS",
            )
        if not 0 < self.shadow_core <= 1:
            raise InvalidSetting(
                "SLIPWAY_SERVICE_SHADOW_CORE: expected a share above 0 and at most 1, "
                f"got {self.shadow_core:g}",
                remedy="set it to 1 for a whole core, or unset it for the default",
            )
