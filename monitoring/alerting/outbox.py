"""The outbox of alerts: messages are stored before the verdict is, and leave when delivered.

A model's episodes and pending messages lie in `var/alerts/<model>.json`. They are written
before the verdict: a job that is killed in between judges the window again and finds its message
made already. A message leaves the file only once its address has received it.
"""

import contextlib
import fcntl
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from contracts.errors import InvalidDocument, Unwritable
from contracts.files import lock_file, write_whole
from contracts.names import Layout
from contracts.verdict import Verdict
from monitoring.alerting.episodes import (
    AT_ONCE,
    AlertMessage,
    AlertPolicy,
    Alerts,
    alerts_after,
    failed,
    received,
)

logger = logging.getLogger("slipway.monitor")


class Deliver(Protocol):
    """What sends messages, as `monitoring.alerting.notify.deliver` does."""

    def __call__(self, address: str, message: AlertMessage, /) -> str:
        """Send a message to an address; gives why it could not be sent, or nothing."""


def enqueue(
    layout: Layout, verdict: Verdict, to: Sequence[str], policy: AlertPolicy = AT_ONCE
) -> None:
    """Store which episodes a verdict starts or ends, and the message for it; nothing is sent.

    Args:
        layout: where files lie.
        verdict: the newest of its model.
        to: digests of the addresses that should receive the message.
        policy: how long something must last before it causes a message.

    Raises:
        Unwritable: the outbox cannot be written.

    """
    path = layout.alerts(verdict.model)
    with _locked(path):
        before = _read(path)
        now = alerts_after(before, verdict, to, policy)
        if now != before:
            write_whole(path, now.write_pretty())


def deliver_pending(
    layout: Layout, name: str, addresses: Mapping[str, str], deliver: Deliver
) -> tuple[AlertMessage, ...]:
    """Deliver a model's pending messages, oldest first; gives those that are left.

    An address that refuses a message gets no other one in this call. A digest that is not
    among `addresses` any more is dropped.

    Raises:
        Unwritable: the outbox cannot be written.

    """
    path = layout.alerts(name)
    if not path.is_file():
        return ()
    with _locked(path):
        alerts = _read(path)
        failures: dict[str, str] = {}
        for message in alerts.pending:
            for digest in message.to:
                if digest in addresses and digest not in failures:
                    why = deliver(addresses[digest], message)
                    if why:
                        failures[digest] = why
                        logger.error("%s: %r was not delivered: %s", name, message.title, why)
                if digest in failures:
                    alerts = failed(alerts, message.key, failures[digest])
                else:
                    alerts = received(alerts, message.key, digest)
                # After each address: a process killed after this line sends nothing twice.
                write_whole(path, alerts.write_pretty())
        return alerts.pending


def pending(layout: Layout, name: str) -> tuple[AlertMessage, ...]:
    """A model's messages that are still to be delivered."""
    path = layout.alerts(name)
    return _read(path).pending if path.is_file() else ()


def _read(path: Path) -> Alerts:
    try:
        return Alerts.read(path.read_bytes(), str(path))
    except FileNotFoundError:
        return Alerts()
    except InvalidDocument as err:
        # The file is always replaced as a whole, so somebody edited it. Judging goes on without
        # the past; at worst an alarm causes a second message.
        aside = path.with_suffix(".unreadable")
        path.replace(aside)
        logger.error("%s; moved to %s", err, aside)  # noqa: TRY400 - the place is in the text
        return Alerts()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for the lock of an outbox: a person may judge a window while the job runs."""
    with contextlib.ExitStack() as stack:
        # Where no lock can be made nothing can be written either, and that error is reported.
        with contextlib.suppress(OSError, Unwritable):
            descriptor = stack.enter_context(lock_file(path.with_name(f".{path.name}.lock")))
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
