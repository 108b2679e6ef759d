"""The only module that imports apprise: messages by mail, chat and webhook.

Addresses contain passwords and tokens, so none is written anywhere; a digest stands for each.
"""

import hashlib
import logging
import re
from collections.abc import Mapping

from contracts.errors import InvalidSetting
from contracts.settings import Secret
from monitoring.alerting.episodes import AlertMessage

# An address may contain commas, between two recipients of a mail; a comma before the next
# scheme ends the address.
_BETWEEN = re.compile(r"[\s,]+(?=[a-zA-Z][a-zA-Z0-9+.-]*://)")


def addresses_of(secret: Secret) -> Mapping[str, str]:
    """The addresses in a setting, by digest.

    Raises:
        InvalidSetting: apprise cannot parse one; it is identified by its position, as it is secret.

    """
    texts = [text for text in _BETWEEN.split(secret.reveal().strip(" ,\n\t")) if text]
    if not texts:
        return {}
    from apprise import Apprise

    for number, text in enumerate(texts, 1):
        if Apprise.instantiate(text) is None:
            raise InvalidSetting(
                "SLIPWAY_MONITORING_NOTIFY: expected addresses that apprise can parse, got an "
                f"unknown one as number {number} of {len(texts)}",
                remedy="for example json://127.0.0.1:8080/ or "
                "mailtos://user:password@example.com; separate them with commas",
            )
    return {hashlib.sha256(text.encode()).hexdigest()[:16]: text for text in texts}


def deliver(address: str, message: AlertMessage) -> str:
    """Send a message to an address; gives why it could not be sent, or nothing."""
    from apprise import Apprise, AppriseAsset, LogCapture, NotifyFormat, NotifyType

    asset = AppriseAsset(app_id="Slipway", app_desc="Slipway's monitor", async_mode=False)
    client = Apprise(asset=asset)
    client.add(address)
    # apprise's debug lines may contain the address.
    with LogCapture(  # type: ignore[no-untyped-call]  # the one name of apprise without types
        level=logging.WARNING, fmt="%(message)s"
    ) as log:
        try:
            sent = client.notify(
                title=message.title,
                body=message.body,
                notify_type=NotifyType.SUCCESS if message.resolved else NotifyType.FAILURE,
                body_format=NotifyFormat.TEXT,
            )
        except Exception as err:  # noqa: BLE001 - plugins raise anything; the monitor must go on
            return f"apprise raised {type(err).__name__}"
        lines = log.getvalue().strip().splitlines()
    return "" if sent else (lines[0] if lines else "apprise could not send it and gave no reason")
