"""What the running service has counted: requests by status and refusals by code, per model."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import httpx
from prometheus_client.parser import text_string_to_metric_families

from contracts.errors import first_line

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
    failure: str = ""


def service_counts(url: str, key: str, now: datetime) -> ServiceCounts:
    """What the service at `url` has counted; never raises for a service that is away."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    address = f"{url.rstrip('/')}/metrics"
    try:
        with httpx.stream(
            "GET", address, headers=headers, timeout=SERVICE_TIMEOUT_S, trust_env=False
        ) as answer:
            if answer.status_code != httpx.codes.OK:
                got = f"{answer.status_code} {answer.reason_phrase}"
                return ServiceCounts(now, failure=f"{address}: expected 200, got {got}")
            page = _bounded_body(answer)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeEncodeError) as err:
        return ServiceCounts(now, failure=f"no service answers at {url} ({first_line(err)})")
    if page is None:
        expected = f"at most {MAX_METRICS_BYTES} bytes"
        return ServiceCounts(now, failure=f"{address}: expected {expected}, got more")
    try:
        return parsed_counts(page.decode(), now)
    except (ValueError, KeyError, OverflowError) as err:
        reason = f"expected Prometheus metrics, got {err!r}"
        return ServiceCounts(now, failure=f"{address}: {reason}")


def _bounded_body(answer: httpx.Response) -> bytes | None:
    """The body of an answer; None if it is too long."""
    body = bytearray()
    for piece in answer.iter_bytes():
        body += piece
        if len(body) > MAX_METRICS_BYTES:
            return None
    return bytes(body)


def parsed_counts(page: str, now: datetime) -> ServiceCounts:
    """The counts on a page of metrics.

    Raises:
        ValueError, KeyError, OverflowError: the page is not in Prometheus's text format, or a
            metric lacks a label, or is no count.

    """
    statuses: dict[str, Counter[str]] = {}
    codes: dict[str, Counter[str]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            labels = sample.labels
            if sample.name == "slipway_requests_total":
                found = statuses.setdefault(labels["model"], Counter())
                found[labels["status"]] += int(sample.value)
            elif sample.name == "slipway_refused_total":
                found = codes.setdefault(labels["model"], Counter())
                found[labels["code"]] += int(sample.value)
    names = statuses.keys() | codes.keys()
    return ServiceCounts(
        now,
        {name: RequestCounts(statuses.get(name, {}), codes.get(name, {})) for name in names},
    )
