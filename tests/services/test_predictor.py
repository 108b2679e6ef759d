"""The module that BentoML imports: what it knows of its start, and its methods."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from contracts.manifest import Manifest
from contracts.schema import Schema, number
from services.auth.guard import resolve_mode
from services.bento.client_api import api_methods
from services.settings import ServiceSettings
from tests.services.conftest import ROOT

pytestmark = pytest.mark.slow
GOLDEN = Path(__file__).parents[1] / "contracts/golden"

ADDRESS = """
import sys

import click
from services import predictor

predictor.Predictor.inject_config()  # as `bentoml serve` does before it asks

print(predictor._address())
for given in ({"port": 5000, "host": "0.0.0.0"}, {"port": None}, {"bento": "."}):
    with click.Context(click.Command("serve")) as context:
        context.params = given
        print(predictor._address())

sys.modules["bentoml._internal.configuration.containers"] = None
for given in ({"port": 5000, "host": "0.0.0.0"}, {"port": None}):
    with click.Context(click.Command("serve")) as context:
        context.params = given
        print(predictor._address())
"""


def test_without_bentomls_command_the_address_is_unknown_and_keys_are_required(
    tmp_path: Path,
) -> None:
    """What happens when `bentoml serve` renames its options: the safe mode, not an error."""
    done = subprocess.run(
        [sys.executable, "-c", ADDRESS],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "BENTOML_HOME": str(tmp_path / "bentoml")},
        capture_output=True,
        text=True,
        check=True,
    )
    unknown, exposed, default, other, named, moved = done.stdout.splitlines()

    assert unknown == other == "(None, 3000)"
    assert exposed == "('0.0.0.0', 5000)"
    assert (named, moved) == (exposed, unknown), "BentoML's container has moved"
    assert default == "('127.0.0.1', 3000)"
    with pytest.raises(Exception, match="listens on any address with SLIPWAY_SERVICE_KEYS=auto"):
        resolve_mode(ServiceSettings(var=tmp_path), None)


def test_bentomls_methods_only_describe_what_the_edge_answers() -> None:
    manifest = Manifest.read((GOLDEN / "manifest.v1.json").read_bytes())
    methods = api_methods([manifest])
    name = manifest.name

    assert set(methods) == {"predict", f"predict_{name}", f"predict_{name}_batch"}
    for method in methods.values():
        assert method.schema()["input"]["properties"]
        with pytest.raises(RuntimeError, match="expected the edge to answer"):
            method.func(None, **({"rows": []} if method.name.endswith("batch") else {}))


def test_names_that_pydantic_keeps_to_itself_are_features_like_others() -> None:
    """BentoML's clients read the names from the JSON Schema."""
    manifest = Manifest.read((GOLDEN / "manifest.v1.json").read_bytes())
    names = ["3P%", "copy", "json", "_row", "class", "größe"]
    schema = Schema(features=tuple(number(name, nullable=name == "copy") for name in names))
    methods = api_methods([msgspec.structs.replace(manifest, schema=schema)])
    found = methods[f"predict_{manifest.name}"].input_spec.model_json_schema()

    assert list(found["properties"]) == names
    assert set(found["required"]) == set(names) - {"copy"}
