"""Log lines as JSON objects, for collectors that index fields: `SLIPWAY_SERVICE_LOG_FORMAT=json`.

BentoML configures its handlers in each process and has no option for their format.
"""

import json
import logging
import os
from datetime import UTC, datetime
from typing import Literal

LogFormat = Literal["text", "json"]


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: time (UTC), level, logger, pid, message, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": os.getpid(),
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, ensure_ascii=False)


def format_logs(wanted: LogFormat) -> None:
    """Give every handler of this process the wanted format; `text` leaves them as they are."""
    if wanted == "text":
        return
    known = [logging.getLogger(name) for name in list(logging.root.manager.loggerDict)]
    for logger in (logging.root, *known):
        for handler in logger.handlers:
            handler.setFormatter(JsonFormatter())
