"""A client that sends labels to a running service."""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from contracts.errors import PlatformError

LABELS_PER_REQUEST = 500
LABELS_TIMEOUT_S = 30.0
MAX_ANSWER_CHARS = 300
"""Of a refusal, in an error."""


def send_labels(url: str, model: str, labels: Sequence[Mapping[str, Any]], key: str = "") -> int:
    """POST labels to `/models/{model}/labels` at `url`; returns how many were accepted.

    Raises:
        PlatformError: the service does not answer, or refuses a label.

    """
    headers = {"authorization": f"Bearer {key}"} if key else {}
    path = f"{url.rstrip('/')}/models/{model}/labels"
    accepted = 0
    for start in range(0, len(labels), LABELS_PER_REQUEST):
        some = labels[start : start + LABELS_PER_REQUEST]
        try:
            answer = httpx.post(
                path, json={"labels": some}, headers=headers, timeout=LABELS_TIMEOUT_S
            )
        except httpx.HTTPError as err:
            raise PlatformError(
                f"service: expected an answer from {path}, got {str(err) or type(err).__name__}",
                remedy="start it: slipway serve",
            ) from err
        if answer.status_code != httpx.codes.OK:
            raise PlatformError(
                f"labels: expected {path} to answer 200, got {answer.status_code}: "
                f"{answer.text[:MAX_ANSWER_CHARS]}",
                remedy="is the key allowed to send labels? slipway keys list",
            )
        accepted += answer.json()["accepted"]
    return accepted
