"""Measures both handlers on the recipe `loan`, and prints a table."""

import argparse
import json
import re
import shutil
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import joblib

from contracts.names import Layout
from registry.promote import promote
from registry.pull import pull_all
from tests.conftest import working_in
from tests.services.aws_lambda.runtime_api import HANDLER, function
from training.fitting import fit
from training.recipe import load_recipe
from training.run import train_recipe

ROOT = Path(__file__).parents[2]
MODEL = "loan"
PEER = "benchmarks.aws_lambda.sklearn_handler.handler"
PEER_LIBRARIES = (
    *("awslambdaric", "simplejson", "snapshot-restore-py", "numpy", "pandas", "python-dateutil"),
    *("six", "scikit-learn", "scipy", "joblib", "threadpoolctl", "narwhals"),
)
"""What a package with the peer's handler holds at least."""


def event_of(row: dict[str, Any]) -> dict[str, Any]:
    """An event of a function URL."""
    path = f"/models/{MODEL}/predict"
    return {
        "rawPath": path,
        "requestContext": {"http": {"method": "POST"}},
        "headers": {"content-type": "application/json"},
        "body": json.dumps(row),
    }


def locked(name: str) -> list[str]:
    """The distributions of a lock."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return list(dict.fromkeys(re.findall(r"^([a-z0-9][\w.-]*)==", text, re.MULTILINE)))


def zipped_mb(names: Iterable[str], folders: Iterable[Path]) -> float:
    """The megabytes of a zip with installed distributions and folders."""
    with tempfile.TemporaryFile() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as package:
            for name in names:
                try:
                    files = distribution(name).files or []
                except PackageNotFoundError:
                    continue
                for each in files:
                    path = Path(str(each.locate()))
                    if path.is_file() and ".." not in each.parts and path.suffix != ".pyc":
                        package.write(path, str(each))
            for folder in folders:
                for path in folder.rglob("*"):
                    if path.is_file() and path.suffix != ".pyc":
                        package.write(path, str(path.relative_to(folder.parent)))
        return file.tell() / 1e6


def measured(handler: str, var: Path, event: Any, starts: int, calls: int) -> dict[str, float]:
    """Milliseconds: cold starts to the first answer, and answers of a warm function."""
    cold, warm = [], []
    for start in range(starts):
        begun = time.perf_counter()
        with function(var, var / "function.log", handler) as api:
            assert api.invoke(event)["statusCode"] == 200  # noqa: S101, PLR2004 - a benchmark of refusals says nothing
            cold.append(1000 * (time.perf_counter() - begun))
            for _ in range(calls if start == starts - 1 else 0):
                begun = time.perf_counter()
                api.invoke(event)
                warm.append(1000 * (time.perf_counter() - begun))
    quantiles = statistics.quantiles(warm, n=100)
    return {"cold": statistics.median(cold), "p50": quantiles[49], "p99": quantiles[98]}


def prepare(root: Path) -> tuple[Path, dict[str, Any]]:
    """A `var/` with the model and the peer's pipeline; and a row."""
    recipe = load_recipe(MODEL)
    with working_in(root) as workplace:
        train_recipe(recipe, workplace.store)
        promote(workplace.store, MODEL, actor="benchmark")
        pull_all(workplace.store, workplace.layout)
    joblib.dump(fit(recipe).pipeline, root / "var" / "pipeline.joblib")
    manifest = Layout(root / "var").model(MODEL, 1) / "manifest.json"
    return root / "var", json.loads(manifest.read_bytes())["golden"][0]["features"]


def main() -> None:
    """Print cold starts, warm answers and sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--calls", type=int, default=1000)
    options = parser.parse_args()
    root = Path(tempfile.mkdtemp(prefix="slipway-lambda-"))
    try:
        var, row = prepare(root)
        ours = [ROOT / "contracts", ROOT / "services", var / "models"]
        sizes = {
            HANDLER: zipped_mb(locked("serving-lambda"), ours),
            PEER: zipped_mb(PEER_LIBRARIES, []),
        }
        for handler, size_mb in sizes.items():
            found = measured(handler, var, event_of(row), options.starts, options.calls)
            sys.stdout.write(
                f"{handler}: package {size_mb:.1f} MB zipped; cold start to first answer "
                f"{found['cold']:.0f} ms; warm p50 {found['p50']:.2f} ms, "
                f"p99 {found['p99']:.2f} ms\n"
            )
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
