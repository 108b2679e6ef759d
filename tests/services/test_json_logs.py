"""With `SLIPWAY_SERVICE_LOG_FORMAT=json`, every line of the service's log is a JSON object."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.bento.json_logs import JsonFormatter, format_logs
from tests.services.conftest import serving


def record(message: str, *args: object) -> logging.LogRecord:
    return logging.LogRecord("bentoml.slipway", logging.WARNING, "f.py", 1, message, args, None)


def test_a_record_is_one_line_with_its_fields() -> None:
    line = JsonFormatter().format(record("größe %d\nand more", 3))
    fields = json.loads(line)

    assert "\n" not in line
    assert fields["message"] == "größe 3\nand more"
    assert (fields["level"], fields["logger"]) == ("warning", "bentoml.slipway")
    assert datetime.fromisoformat(fields["time"]).tzinfo == UTC


def test_an_exception_is_a_field() -> None:
    failed = record("it failed")
    error = ValueError("why")
    failed.exc_info = (type(error), error, None)

    assert "ValueError: why" in json.loads(JsonFormatter().format(failed))["exception"]


def test_text_leaves_every_handler_as_it_is() -> None:
    before = [handler.formatter for handler in logging.root.handlers]
    format_logs("text")

    assert [handler.formatter for handler in logging.root.handlers] == before


@pytest.mark.slow
def test_every_line_of_a_service_is_json(models: Path, tmp_path: Path) -> None:
    with serving(tmp_path, models, SLIPWAY_SERVICE_LOG_FORMAT="json") as service:
        log = service.log
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    messages = [line["message"] for line in lines]

    assert any(message.startswith("serving tiny version 1") for message in messages)
    assert len({line["pid"] for line in lines}) >= 2
