"""The architecture, checked from outside: imports, settings, locks, telemetry."""

import ast
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from contracts.settings import SHARED, Secret, variables
from training.frameworks.extras import extras_of

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "contracts",
    "metrics",
    "pages",
    "training",
    "registry",
    "services",
    "monitoring",
    "slipway",
)
SETTINGS = {
    "registry.settings": "RegistrySettings",
    "services.settings": "ServiceSettings",
    "services.streams.settings": "StreamSettings",
    "monitoring.settings": "MonitoringSettings",
}


def modules_after(statement: str, *, cwd: Path = ROOT) -> set[str]:
    """The top-level packages that a fresh process has loaded after `statement`."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return {name.split(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def test_the_import_law_holds() -> None:
    """import-linter's contracts in pyproject.toml."""
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_the_service_loads_no_training_library(tmp_path: Path) -> None:
    loaded = modules_after("import services.predictor", cwd=tmp_path)

    assert "bentoml" in loaded
    assert not loaded & {
        "metrics",
        "pages",
        "mlflow",
        "sklearn",
        "pandas",
        "evidently",
        "polars",
        "pyarrow",
        "matplotlib",
        "grpc",
    }


def test_contracts_load_numpy_and_msgspec_only(tmp_path: Path) -> None:
    names = [path.stem for path in (ROOT / "contracts").glob("*.py") if path.stem != "__init__"]
    loaded = modules_after("import " + ", ".join(f"contracts.{name}" for name in names))
    bare = modules_after("import numpy, msgspec", cwd=tmp_path)

    heavy = {"mlflow", "bentoml", "sklearn", "pandas", "evidently", "polars", "onnxruntime", "rich"}
    assert not (loaded - bare) & heavy


def test_help_is_shown_without_a_heavy_library(tmp_path: Path) -> None:
    loaded = modules_after("import slipway.app", cwd=tmp_path)

    assert not loaded & {"mlflow", "sklearn", "pandas", "evidently", "bentoml", "polars"}


@pytest.mark.parametrize("package", PACKAGES)
def test_a_door_sign_imports_nothing(package: str) -> None:
    tree = ast.parse((ROOT / package / "__init__.py").read_text())

    assert ast.get_docstring(tree)
    assert len(tree.body) == 1


def is_importable(path: Path) -> bool:
    """Whether it is no recipe of a framework that is not installed here."""
    return path.parent.name != "recipes" or all(
        extra.is_installed for extra in extras_of(path.read_text())
    )


@pytest.mark.parametrize("package", PACKAGES)
def test_no_package_reads_environment_or_disk_on_import(package: str, tmp_path: Path) -> None:
    """Importing every module of a package in an empty folder leaves the folder empty."""
    names = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted((ROOT / package).rglob("*.py"))
        if path.stem not in {"__init__", "__main__"} and is_importable(path)
    ]
    modules_after("import " + ", ".join(names), cwd=tmp_path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("module", "name"), SETTINGS.items())
def test_every_setting_is_documented(module: str, name: str) -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    settings: type = getattr(importlib.import_module(module), name)

    for variable, field in variables(settings).items():
        assert f"`{variable}`" in page, variable
        assert str(field.metadata["meaning"]) in page, f"{variable}: its meaning has changed"
        default = (
            "\N{EN DASH}"
            if field.default == "" or isinstance(field.default, Secret)
            else field.default
        )
        assert f"| `{variable}` | {default} |" in page, f"{variable}: its default has changed"


def test_every_documented_setting_exists() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    known = set(SHARED) | {
        variable
        for module, name in SETTINGS.items()
        for variable in variables(getattr(importlib.import_module(module), name))
    }

    assert set(re.findall(r"`(SLIPWAY_[A-Z_]+)`", page)) == known


def test_locks_name_no_index_and_pin_by_hash() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        text = lock.read_text()
        pins = re.findall(r"^[a-z0-9][\w.\[\],-]*==", text, re.MULTILINE)
        assert pins
        assert "http" not in re.sub(
            r"^\s*#.*$|^[a-z0-9-]*http[a-z0-9-]*==.*$", "", text, flags=re.MULTILINE
        )
        assert text.count("--hash=sha256:") >= len(pins)


def test_what_a_bento_installs_is_lean() -> None:
    lock = (ROOT / "requirements" / "serving.txt").read_text()
    pinned = set(re.findall(r"^([a-z0-9][\w.-]*)", lock, re.MULTILINE))

    assert {"bentoml", "onnxruntime", "msgspec", "numpy"} <= pinned
    assert not pinned & {"mlflow", "scikit-learn", "pandas", "evidently", "matplotlib", "polars"}


def test_telemetry_is_off_in_the_environment_that_setup_makes() -> None:
    line = (ROOT / "requirements" / "environment.pth").read_text().splitlines()[0]
    names = ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK", "ORT_DISABLE_TELEMETRY")
    code = f"{line}\nprint(*(os.environ[name] for name in {names}))"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], env={}, capture_output=True, text=True, check=True
    )

    assert done.stdout.split() == ["true", "1", "1"]


@pytest.mark.parametrize(
    "opening",
    [
        "from services.onnx_session import Session; Session(b'', '')",
        "from training.onnx_session import OnnxSession; OnnxSession(b'')",
    ],
    ids=["service", "training"],
)
def test_onnx_runtime_leaves_nothing_in_the_home_of_the_user(tmp_path: Path, opening: str) -> None:
    """Its telemetry would keep an id of the device there, where no variable turns it off."""
    environ = {key: value for key, value in os.environ.items() if "TELEMETRY" not in key}
    # Without the module `site`, environment.pth does not set the variable.
    path = os.pathsep.join([str(ROOT), *(each for each in sys.path if each)])
    done = subprocess.run(
        [sys.executable, "-S", "-c", opening],
        cwd=tmp_path,
        env=environ | {"HOME": str(tmp_path), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )

    assert "protobuf" in done.stderr.lower() or "model" in done.stderr.lower(), done.stderr
    assert list(tmp_path.iterdir()) == []
