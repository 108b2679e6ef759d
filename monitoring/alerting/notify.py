"""The door to apprise: mail, chat and webhooks by address.

Addresses hold passwords and tokens, so they are kept nowhere; a digest stands for each.
"""

import hashlib
import logging
import re
from collections.abc import Mapping

from contracts.errors import InvalidSetting
from contracts.settings import Secret
from monitoring.alerting.episodes import Message

# A comma may stand within an address, between two receivers of a mail; one before the next
# scheme ends it.
_BETWEEN = re.compile(r"[\s,]+(?=[a-zA-Z][a-zA-Z0-9+.-]*://)")


def addresses_of(secret: Secret) -> Mapping[str, str]:
    """The addresses in a setting, by digest.

    Raises:
        InvalidSetting: apprise cannot read one; it is named by its place, as it is secret.

    """
    texts = [text for text in _BETWEEN.split(secret.reveal().strip(" ,\n\t")) if text]
    if not texts:
        return {}
    from apprise import Apprise

    for number, text in enumerate(texts, 1):
        if Apprise.instantiate(text) is None:
            raise InvalidSetting(
                f"SLIPWAY_MONITORING_NOTIFY: expected addresses that apprise knows, got "
                f"another as number {number} of {len(texts)}",
                remedy="like json://127.0.0.1:8080/ or mailtos://user:password@example.com; "
                "a comma between two",
            )
    return {hashlib.sha256(text.encode()).hexdigest()[:16]: text for text in texts}


def deliver(address: str, message: Message) -> str:
    """Send a message to an address; why it could not be sent, or nothing."""
    from apprise import Apprise, AppriseAsset, LogCapture, NotifyFormat, NotifyType

    asset = AppriseAsset(app_id="Slipway", app_desc="Slipway's monitor", async_mode=False)
    door = Apprise(asset=asset)
    door.add(address)
    # Debug lines of apprise may hold the address.
    with LogCapture(  # type: ignore[no-untyped-call]  # the one name of apprise without types
        level=logging.WARNING, fmt="%(message)s"
    ) as log:
        try:
            sent = door.notify(
                title=message.title,
                body=message.body,
                notify_type=NotifyType.SUCCESS if message.resolved else NotifyType.FAILURE,
                body_format=NotifyFormat.TEXT,
            )
        except Exception as err:  # noqa: BLE001 - plugins raise anything; the job must go on
            return f"apprise raised {type(err).__name__}"
        said = log.getvalue().strip().splitlines()
    return "" if sent else (said[0] if said else "apprise could not send it, and does not say why")
