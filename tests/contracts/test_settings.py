"""Settings are read once, and a typing error stops the start."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import InvalidSetting
from contracts.settings import Secret, load_settings, setting


@dataclass(frozen=True)
class Example:
    var: Path = setting("SLIPWAY_VAR", Path("var"), "where state lies")
    rows: int = setting("SLIPWAY_SERVICE_ROWS", 64, "rows in a batch")
    wait_s: float = setting("SLIPWAY_SERVICE_WAIT_S", 1.5, "patience")
    strict: bool = setting("SLIPWAY_SERVICE_STRICT", default=True, meaning="refuse")
    mode: Literal["refuse", "drop"] = setting("SLIPWAY_SERVICE_MODE", "refuse", "what to do")
    key: Secret | None = setting("SLIPWAY_SERVICE_KEY", None, "a secret")


def test_what_is_not_set_keeps_its_default() -> None:
    assert load_settings(Example, {"HOME": "x", "SLIPWAY_SERVICE_ROWS": ""}) == Example()


def test_each_type_is_parsed() -> None:
    loaded = load_settings(
        Example,
        {
            "SLIPWAY_VAR": "/data",
            "SLIPWAY_SERVICE_ROWS": "8",
            "SLIPWAY_SERVICE_WAIT_S": "0.25",
            "SLIPWAY_SERVICE_STRICT": "false",
            "SLIPWAY_SERVICE_MODE": "drop",
        },
    )

    assert loaded == Example(Path("/data"), 8, 0.25, strict=False, mode="drop")


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        ("SLIPWAY_SERVICE_ROWS", "many", "expected a whole number, got 'many'"),
        ("SLIPWAY_SERVICE_STRICT", "si", "expected true or false, got 'si'"),
        ("SLIPWAY_SERVICE_MODE", "keep", "expected one of refuse, drop, got 'keep'"),
        ("SLIPWAY_SERVICE_WAIT_S", "1,5", "expected a number, got '1,5'"),
    ],
)
def test_a_malformed_value_stops_the_start(variable: str, text: str, words: str) -> None:
    with pytest.raises(InvalidSetting, match=words) as caught:
        load_settings(Example, {variable: text})

    assert variable in caught.value.what


@pytest.mark.parametrize("variable", ["SLIPWAY_SERVICE_ROW", "SLIPWAY_SERVCE_ROWS", "SLIPWAY_X"])
def test_a_variable_that_nobody_knows_stops_the_start(variable: str) -> None:
    with pytest.raises(InvalidSetting, match=variable):
        load_settings(Example, {variable: "1"})


def test_the_error_for_a_near_miss_names_the_right_variable() -> None:
    with pytest.raises(InvalidSetting) as caught:
        load_settings(Example, {"SLIPWAY_SERVICE_ROW": "1"})

    assert "did you mean SLIPWAY_SERVICE_ROWS?" in caught.value.remedy


def test_another_package_may_have_its_own_variables() -> None:
    assert load_settings(Example, {"SLIPWAY_MONITORING_ANYTHING": "1"}) == Example()


def test_a_secret_prints_as_stars() -> None:
    loaded = load_settings(Example, {"SLIPWAY_SERVICE_KEY": "hunter2"})

    assert loaded.key is not None
    assert loaded.key.reveal() == "hunter2"
    assert "hunter2" not in f"{loaded} {loaded.key} {loaded.key!r}"


@given(st.text(min_size=1))
def test_any_text_is_a_number_or_a_clear_error(text: str) -> None:
    environ = {"SLIPWAY_SERVICE_ROWS": text}
    if is_whole_number(text):
        assert load_settings(Example, environ).rows == int(text)
        return
    with pytest.raises(InvalidSetting, match="SLIPWAY_SERVICE_ROWS"):
        load_settings(Example, environ)


def is_whole_number(text: str) -> bool:
    try:
        int(text)
    except ValueError:
        return False
    return True
