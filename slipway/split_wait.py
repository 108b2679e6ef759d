"""Waits until a traffic split is in force: until every worker of the service reports it."""

import re
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx

from contracts.errors import PlatformError

METRIC = "slipway_split_weight"
POLL_S = 0.5
METRICS_TIMEOUT_S = 5.0
_SERIES = re.compile(rf"^{METRIC}\{{(?P<labels>[^}}]*)\}} (?P<weight>\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_TOLERANCE = 1e-9

WorkerWeights = Mapping[str, Mapping[int, float]]
"""The weight of each version above 0, by worker; a worker without a split has none."""


@dataclass(frozen=True)
class WantedSplit:
    """The version of a challenger and its weight; `weight` is None for a canary: any above 0."""

    model: str
    version: int
    weight: float | None

    def is_met(self, weights: Mapping[int, float]) -> bool:
        """Whether a worker with these weights has this split."""
        if self.weight == 0:
            return not weights
        if self.weight is None:
            return list(weights) == [self.version]
        found = weights.get(self.version, 0.0)
        return len(weights) == 1 and abs(found - self.weight) < _TOLERANCE

    @property
    def text(self) -> str:
        """The split in words."""
        if self.weight == 0:
            return "no challenger"
        share = "a share" if self.weight is None else f"{100 * self.weight:.4g}%"
        return f"version {self.version} {share}"


def wait_for_split(
    wanted: WantedSplit,
    read: Callable[[], WorkerWeights],
    refusal: Callable[[], str],
    timeout_s: float,
) -> int:
    """Return the number of workers once all have the split.

    `read` returns the weights of the workers now, `refusal` why the version is refused, or "".

    Raises:
        PlatformError: not within `timeout_s`; the version is refused; the service is away.

    """
    end = time.monotonic() + timeout_s
    while True:
        workers = read()
        met = sum(map(wanted.is_met, workers.values()))
        if workers and met == len(workers):
            return met
        if reason := refusal():
            raise PlatformError(
                f"traffic split of {wanted.model}: version {wanted.version} is refused: {reason}",
                remedy="slipway status shows what is refused",
            )
        if time.monotonic() >= end:
            raise PlatformError(
                f"traffic split of {wanted.model}: after {timeout_s:g} s, {met} of "
                f"{len(workers)} workers have {wanted.text}",
                remedy="does the service follow the registry (slipway follow)? A longer --timeout "
                "helps if a version is still being downloaded",
            )
        time.sleep(POLL_S)


def read_weights(url: str, key: str, model: str) -> WorkerWeights:
    """The weights of a model's challengers in each worker of the service at `url`.

    Raises:
        PlatformError: no service answers there, or not with metrics.

    """
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        answer = httpx.get(f"{url.rstrip('/')}/metrics", headers=headers, timeout=METRICS_TIMEOUT_S)
    except (httpx.HTTPError, httpx.InvalidURL) as err:
        raise PlatformError(
            f"service: expected an answer from {url}, got {str(err) or type(err).__name__}",
            remedy="start it with slipway serve, or name it: --url http://HOST:PORT",
        ) from err
    if answer.status_code != httpx.codes.OK:
        raise PlatformError(
            f"service: expected {url}/metrics to answer 200, got {answer.status_code}",
            remedy="--key KEY, if the service requires one",
        )
    return weights_of(answer.text, model)


def weights_of(page: str, model: str) -> WorkerWeights:
    """The weights of a model's challengers by worker, from a page of metrics.

    >>> page = 'slipway_split_weight{model="loan",pid="7",version="2"} 0.1'
    >>> weights_of(page, "loan")
    {'7': {2: 0.1}}
    """
    found: dict[str, dict[int, float]] = defaultdict(dict)
    for series in _SERIES.finditer(page):
        labels = dict(_LABEL.findall(series["labels"]))
        if labels.get("model") != model:
            continue
        weights, weight = found[labels.get("pid", "")], float(series["weight"])
        if weight > 0:
            weights[int(labels["version"])] = weight
    return dict(found)
