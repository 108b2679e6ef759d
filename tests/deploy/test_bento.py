"""What `bentoml build` packs, read from the Bento's files."""

import re

import pytest

from contracts.extras import EXTRAS
from tests.deploy.conftest import MODEL, Built

pytestmark = pytest.mark.slow

FORBIDDEN = ("mlflow", "scikit-learn", "pandas", "evidently", "matplotlib", "polars", "skl2onnx")


def test_a_bento_holds_contracts_services_and_pointers_and_nothing_else(bento: Built) -> None:
    source = {name.removeprefix("src/") for name in bento.files if name.startswith("src/")}
    strangers = {
        name
        for name in source
        if not re.fullmatch(r"(contracts|services)/[\w/]+\.(py|pyi|html|css|js|json|md)", name)
        and name
        not in {
            "bentofile.yaml",
            *(f"requirements/{each}.txt" for each in ("serving-grpc", "serving-sklearn", *EXTRAS)),
            f"var/models/{MODEL}/production.json",
        }
    }

    assert "services/predictor.py" in source
    assert f"var/models/{MODEL}/production.json" in source
    assert strangers == set()


def test_a_secret_that_lies_about_is_not_packed(bento: Built) -> None:
    secret = (bento.checkout.root / ".env").read_bytes()

    assert not [name for name in bento.files if ".env" in name.split("/")]
    assert not [name for name in bento.files if secret in (bento.path / name).read_bytes()]


def test_the_model_is_named_by_the_bento(bento: Built) -> None:
    assert f"{MODEL}:1-" in (bento.path / "bento.yaml").read_text()


def test_the_requirements_are_lean_and_held_to_hashes(bento: Built) -> None:
    text = (bento.path / "env/python/requirements.txt").read_text()
    names = set(re.findall(r"^([\w.-]+)==", text, flags=re.MULTILINE))
    unhashed = re.findall(r"^([\w.-]+==\S+)$", text, flags=re.MULTILINE)

    assert {"bentoml", "onnxruntime", "msgspec"} <= names
    assert names.isdisjoint(FORBIDDEN)
    assert unhashed == ["bentoml==1.4.39"], "BentoML's own line, which the Dockerfile drops"
    assert "--index-url" not in text
    assert "://" not in re.sub(r"^\s*#.*$", "", text, flags=re.MULTILINE)


def test_the_dockerfile_is_pinned_without_root_and_asks_for_health(bento: Built) -> None:
    lines = (bento.path / "env/docker/Dockerfile").read_text().splitlines()
    bases = {line.split()[1] for line in lines if line.startswith("FROM ")}

    assert len(bases) == 1
    assert re.fullmatch(r"docker\.io/library/python:3\.11-slim-\w+(@sha256:\w{64})?", bases.pop())
    assert "USER 1034:1034" in lines
    assert any(line.startswith("HEALTHCHECK ") for line in lines)
    assert not any("BENTOML_CONTAINERIZED" in line for line in lines)
