"""What is installed is what the code imports, and the command starts without the rest."""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Mapping
from functools import cache
from importlib.metadata import packages_distributions, requires
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from contracts.errors import PlatformError
from contracts.extras import EXTRAS

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = sorted(path.parent.name for path in ROOT.glob("*/py.typed"))
ENGINES = ("pyspark", "ray")
"""Engines of clusters, extras that the development environment does not have."""
OF_INSTALLING = {"setuptools"}
"""Needed to install the project itself, not by its code."""


def listed(name: str) -> set[str]:
    """The requirements of `requirements/<name>.in` and of the files that it includes."""
    found: set[str] = set()
    for line in (ROOT / "requirements" / f"{name}.in").read_text().splitlines():
        if line.startswith("-r "):
            found |= listed(line.removeprefix("-r ").removesuffix(".in"))
        elif line and not line.startswith("#"):
            found.add(line)
    return found


def declared(*groups: str) -> set[str]:
    """The requirements of the project and of some of its optional groups."""
    optional = PROJECT["optional-dependencies"]
    found = set(PROJECT["dependencies"]).union(*(optional[group] for group in groups))
    return {requirement for requirement in found if not requirement.startswith("slipway[")}


def name_of(requirement: str) -> str:
    return canonicalize_name(Requirement(requirement).name)


def test_the_project_requires_what_the_locks_are_made_from() -> None:
    everything = declared(
        "serving", "serving-grpc", "training", "monitoring", "kafka", "tracking-server"
    )

    assert everything == listed("platform") - OF_INSTALLING
    assert everything | declared("dev") == listed("development") - OF_INSTALLING
    assert listed("serving") <= declared("serving")


def test_the_image_of_the_platform_gets_the_versions_that_are_tested() -> None:
    """`make lock` writes both locks; the tests run with the one of development."""

    def pins(name: str) -> dict[str, str]:
        text = (ROOT / "requirements" / f"{name}.txt").read_text()
        return dict(
            re.findall(r"^([a-z0-9][\w.-]*)(?:\[[^]]*\])?==([^\s;\\]+)", text, re.MULTILINE)
        )

    platform = pins("platform")
    assert {name_of(requirement) for requirement in listed("platform")} <= platform.keys()
    assert platform.items() <= pins("development").items()


def test_every_library_that_a_package_imports_is_required() -> None:
    groups = {
        "contracts": (),
        "metrics": ("training",),
        # `slipway board` serves the reports with what the service has.
        "slipway": ("serving",),
        "pages": ("monitoring",),
        "registry": ("training",),
        "services": (
            "serving",
            "serving-grpc",
            "serving-sklearn",
            "batch",
            "kafka",
            "spark",
            "ray",
        ),
        "training": ("training", *EXTRAS),
        "monitoring": ("monitoring",),
    }
    for package in PACKAGES:
        required = {name_of(each) for each in declared(*groups[package])}
        for module in sorted(imported(package) - missing_frameworks()):
            assert distributions_of(module) & required, f"{package} imports {module}"


def missing_frameworks() -> set[str]:
    """The packages of the optional frameworks and engines that are not installed here."""
    engines = {name for name in ENGINES if find_spec(name) is None}
    return {package for package, extra in EXTRAS.items() if not extra.is_installed} | engines


def test_each_framework_is_an_extra_with_a_lock_of_its_own() -> None:
    for package, extra in EXTRAS.items():
        assert declared(package) - set(PROJECT["dependencies"]) == listed(package)
        assert {name_of(each) for each in listed(package)} <= set(extra.distributions)
        assert f"{extra.distributions[0]}==" in (ROOT / extra.lock).read_text()
        assert "--hash=sha256:" in (ROOT / extra.lock).read_text()


def imported(package: str) -> set[str]:
    """The libraries that a package's modules import, inside functions, too."""
    found: set[str] = set()
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.partition(".")[0])
    return found - set(PACKAGES) - set(sys.stdlib_module_names)


def distributions_of(module: str) -> set[str]:
    return {name_of(name) for name in distributions()[module]}


@cache
def distributions() -> Mapping[str, list[str]]:
    """By module, the distributions that have it; to look takes half a second."""
    return packages_distributions()


def core() -> set[str]:
    """The distributions of the project's own requirements, and of what they require."""
    found: set[str] = set()
    waiting = [name_of(each) for each in PROJECT["dependencies"]]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            needed = [Requirement(each) for each in requires(name) or ()]
            here = [r for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})]
            waiting += [canonicalize_name(requirement.name) for requirement in here]
    return found


BLOCKED = """
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Block())
sys.argv = ["slipway", *WORDS]
from slipway.app import main
main()
"""


def with_core_alone(*words: str) -> subprocess.CompletedProcess[str]:
    """`slipway` where only the project's own requirements can be imported."""
    others = {
        module
        for module, names in packages_distributions().items()
        if not {name_of(name) for name in names} & core() and module not in PACKAGES
    }
    code = f"BLOCKED = {sorted(others)!r}\nWORDS = {list(words)!r}\n{BLOCKED}"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_the_command_starts_without_the_optional_groups() -> None:
    done = with_core_alone("--help")

    assert done.returncode == 0, done.stderr
    assert "traffic-split" in done.stdout


def test_a_missing_library_is_named_with_what_to_install() -> None:
    done = with_core_alone("train", "loan", "--json")
    told = json.loads(done.stdout)["error"]

    assert done.returncode == PlatformError.exit_code
    assert re.search(r"needs the library \w+, which is not installed", told["message"])
    assert told["remedy"].startswith("pip install 'slipway[all]'")


@pytest.mark.slow
def test_a_wheel_holds_every_package_with_its_types_and_templates(tmp_path: Path) -> None:
    names = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in names:
        if name.partition("/")[0] in {*PACKAGES, "pyproject.toml", "README.md", "LICENSE"}:
            target = tmp_path / "source" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
    building = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [sys.executable, *building, "--wheel-dir", tmp_path, tmp_path / "source"], check=True
    )
    (wheel,) = tmp_path.glob("*.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    ours = {n for n in names if n.partition("/")[0] in PACKAGES and not n.endswith("README.md")}

    assert ours <= packed
    assert {f"{package}/py.typed" for package in PACKAGES} <= packed
