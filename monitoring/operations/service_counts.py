"""What the running service has counted: requests by status and refusals by code, per model."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import httpx
from prometheus_client.parser import text_string_to_metric_families

SERVICE_TIMEOUT_S = 2.0
MAX_METRICS_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class RequestCounts:
    """Requests of one model since the service started, by HTTP status and by refusal code."""

    by_status: Mapping[str, int] = field(default_factory=dict)
    by_code: Mapping[str, int] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """All requests."""
        return sum(self.by_status.values())

    @property
    def client_errors(self) -> int:
        """Requests that were answered with 4xx."""
        return sum(n for status, n in self.by_status.items() if status.startswith("4"))

    @property
    def server_errors(self) -> int:
        """Requests that were answered with 5xx."""
        return sum(n for status, n in self.by_status.items() if status.startswith("5"))


@dataclass(frozen=True)
class ServiceCounts:
    """The counts of all models at one moment; `failure` says why there are none."""

    asked_at: datetime
    models: Mapping[str, RequestCounts] = field(default_factory=dict)
    versions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    failure: str = ""


def service_counts(url: str, key: str, now: datetime) -> ServiceCounts:
    """What the service at `url` has counted; never raises for a service that is away."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    address = f"{url.rstrip('/')}/metrics"
    try:
        answer = httpx.get(address, headers=headers, timeout=SERVICE_TIMEOUT_S, trust_env=False)
    except (httpx.HTTPError, httpx.InvalidURL) as err:
        reason = str(err) or type(err).__name__
        return ServiceCounts(now, failure=f"no service answers at {url} ({reason})")
    if answer.status_code != httpx.codes.OK or len(answer.content) > MAX_METRICS_BYTES:
        return ServiceCounts(
            now, failure=f"{address}: expected 200, got {answer.status_code} {answer.reason_phrase}"
        )
    try:
        return parsed_counts(answer.text, now)
    except ValueError as err:
        return ServiceCounts(now, failure=f"{address}: expected Prometheus metrics, got {err}")


def parsed_counts(page: str, now: datetime) -> ServiceCounts:
    """The counts on a page of metrics.

    Raises:
        ValueError: the page is not in Prometheus's text format.

    """
    statuses: dict[str, Counter[str]] = {}
    codes: dict[str, Counter[str]] = {}
    versions: dict[str, set[int]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = sample.labels
            if sample.name == "slipway_requests_total":
                found = statuses.setdefault(labels["model"], Counter())
                found[labels["status"]] += int(sample.value)
            elif sample.name == "slipway_refused_total":
                found = codes.setdefault(labels["model"], Counter())
                found[labels["code"]] += int(sample.value)
            elif sample.name == "slipway_model_info" and labels["version"].isdigit():
                versions.setdefault(labels["model"], set()).add(int(labels["version"]))
    names = statuses.keys() | codes.keys()
    return ServiceCounts(
        now,
        {name: RequestCounts(statuses.get(name, {}), codes.get(name, {})) for name in names},
        {name: tuple(sorted(found)) for name, found in versions.items()},
    )
