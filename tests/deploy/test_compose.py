"""compose.yaml: valid, complete in each profile, and with what the real service has."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # it carries no types
from bentoml._internal.container.generate import BENTO_UID_GID

from contracts.names import Layout
from contracts.settings import load_settings
from tests.deploy.manifests import SETTINGS, known_settings, settings_in
from tests.deploy.replicas import NGINX_CONF, ROOT
from tests.slipway.test_docs import is_known

FILE = ROOT / "compose.yaml"
UP = ROOT / "deploy" / "compose" / "up.py"
COMPOSE = ROOT / "deploy" / "compose"
PROFILES = ("minimal", "full")
VARIABLE = re.compile(r"\$\{(\w+)(?::?([-?])([^}]*))?\}")


def substituted(text: str) -> str:
    """The text with the default of each variable, and a word for those that must be set."""
    return VARIABLE.sub(lambda found: "x" if found[2] == "?" else found[3] or "", text)


SERVICES: dict[str, dict[str, Any]] = yaml.safe_load(substituted(FILE.read_text()))["services"]


def each_service() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", SERVICES)


def port_of_the_service() -> int:
    """`PORT` of services/predictor.py, which reads pointers when it is imported."""
    tree = ast.parse((ROOT / "services" / "predictor.py").read_text())
    (value,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PORT"
    )
    return int(ast.literal_eval(value))


def test_the_compose_schema_accepts_it() -> None:
    command = Path(sys.executable).with_name("check-jsonschema")
    done = subprocess.run(
        [command, "--builtin-schema", "vendor.compose-spec", FILE],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_has_everything_that_its_services_wait_for(profile: str) -> None:
    chosen = {name for name, service in SERVICES.items() if profile in service["profiles"]}

    for name in chosen:
        assert set(SERVICES[name].get("depends_on", [])) <= chosen, name


def test_the_smaller_profile_is_part_of_the_larger() -> None:
    for name, service in SERVICES.items():
        assert "minimal" not in service["profiles"] or "full" in service["profiles"], name


@each_service()
def test_an_image_has_a_version_and_a_mount_exists(name: str) -> None:
    service = SERVICES[name]
    is_built_here = service["image"].startswith("localhost/")

    assert re.search(r":v?\d[\w.-]+$", service["image"]) or is_built_here
    for mount in service.get("volumes", []):
        if mount.startswith("./"):
            assert (ROOT / mount.split(":")[0]).exists(), mount
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:"), f"{name} is open to other machines"


@each_service()
def test_our_containers_have_no_rights(name: str) -> None:
    service = SERVICES[name]
    if not service["image"].startswith("localhost/") or name == "volume-owner":
        return
    assert service["user"] == f"{BENTO_UID_GID}:{BENTO_UID_GID}"
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@each_service()
def test_a_setting_is_one_of_the_code_with_a_value_it_accepts(name: str) -> None:
    environ = SERVICES[name].get("environment", {})
    own = {key: str(value) for key, value in environ.items() if key.startswith("SLIPWAY_")}

    for cls in SETTINGS:
        load_settings(cls, own)
    assert settings_in(FILE) | settings_in(UP) <= known_settings()


@each_service()
def test_a_command_is_one_of_ours(name: str) -> None:
    text = " ".join(SERVICES[name].get("command", []))
    for words in re.findall(r"\bslipway ([^;]+)", text):
        assert is_known(words.split()), words


def test_nginx_and_prometheus_name_every_replica_by_its_port() -> None:
    port = port_of_the_service()
    addresses = {f"{name}:{port}" for name in SERVICES if re.fullmatch(r"service-\d+", name)}
    upstreams = re.findall(r"^\s*server (\S+) max_fails", NGINX_CONF.read_text(), re.MULTILINE)
    config = yaml.safe_load((COMPOSE / "prometheus.yml").read_text())
    scrapes = {job["job_name"]: job for job in config["scrape_configs"]}
    (workers,) = scrapes.pop("stream")["dns_sd_configs"]
    jobs = {name: job["static_configs"][0] for name, job in scrapes.items()}

    assert set(upstreams) == set(jobs["slipway"]["targets"]) == addresses
    assert {target.split(":")[0] for target in jobs["node"]["targets"]} <= SERVICES.keys()
    assert set(workers["names"]) <= SERVICES.keys()
    assert f"--metrics-port={workers['port']}" in SERVICES["stream"]["command"]
    ((manager,),) = (
        one["targets"]
        for each in config["alerting"]["alertmanagers"]
        for one in each["static_configs"]
    )
    assert manager.split(":")[0] in SERVICES
    health = " ".join(SERVICES["service-1"]["healthcheck"]["test"])
    assert f"'127.0.0.1', {port}" in health
    (listen,) = re.findall(r"listen (\d+)", NGINX_CONF.read_text())
    assert SERVICES["nginx"]["ports"][0].endswith(f":{listen}")


def test_prometheus_reads_the_rules_that_are_mounted_and_the_gauges_of_the_monitor() -> None:
    config = yaml.safe_load((COMPOSE / "prometheus.yml").read_text())
    mounted = {Path(mount.split(":")[1]).name for mount in SERVICES["prometheus"]["volumes"]}
    layout = Layout(Path(SERVICES["monitor"]["environment"]["SLIPWAY_VAR"]))
    directory = f"--collector.textfile.directory={layout.metrics}"

    assert set(config["rule_files"]) <= mounted
    assert directory in SERVICES["node-exporter"]["command"]
    assert f"slipway:{layout.var}:ro" in SERVICES["node-exporter"]["volumes"]


@pytest.mark.skipif(not shutil.which("amtool"), reason="amtool is not installed: .ci/run does")
def test_alertmanager_itself_takes_its_configuration() -> None:
    done = subprocess.run(
        ["amtool", "check-config", COMPOSE / "alertmanager.yml"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_replica_ends_before_it_is_killed() -> None:
    environ = {k: str(v) for k, v in SERVICES["service-1"]["environment"].items()}
    from services.settings import ServiceSettings

    settings = load_settings(ServiceSettings, environ)
    grace = float(SERVICES["service-1"]["stop_grace_period"].removesuffix("s"))

    assert grace > settings.drain_s + settings.deadline_s + settings.body_timeout_s


def test_mlflow_takes_the_name_that_clients_use() -> None:
    hosts = SERVICES["follower"]["environment"]["MLFLOW_TRACKING_URI"].removeprefix("http://")
    (allowed,) = (w for w in SERVICES["mlflow"]["command"] if w.startswith("--allowed-hosts="))

    assert hosts in allowed.removeprefix("--allowed-hosts=").split(",")


def test_the_platform_image_copies_what_is_here_and_its_context_holds_nothing_else() -> None:
    dockerfile = (ROOT / "deploy" / "platform" / "Dockerfile").read_text()
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
    sources = {source for line in copies for source in line.split()}
    rules = (ROOT / ".dockerignore").read_text().splitlines()
    allowed = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    packages = {path.parent.name for path in ROOT.glob("*/py.typed")}

    assert packages <= sources
    assert all((ROOT / source).exists() for source in sources)
    assert "*" in rules
    assert {s if s in allowed else str(Path(s).parent) for s in sources} == allowed


# `make up`


def run_up(folder: Path, *arguments: str, **doubles: str) -> "subprocess.CompletedProcess[str]":
    """up.py of a copy of the checkout, with doubles of the engines."""
    target = folder / "deploy" / "compose" / "up.py"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(UP, target)
    binaries = folder / "bin"
    binaries.mkdir(exist_ok=True)
    for name, script in doubles.items():
        double = binaries / name.replace("_", "-")
        double.write_text(f"#!/bin/sh\n{script}\n")
        double.chmod(0o755)
    return subprocess.run(
        [sys.executable, target, *arguments],
        env={"PATH": str(binaries)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_passwords_are_written_once_for_their_owner_only(tmp_path: Path) -> None:
    show = 'echo "$SLIPWAY_SERVICE_REDIS_URL $@"'
    first = run_up(tmp_path, "full", "up", "--detach", docker=show)
    path = tmp_path / "var" / "compose.env"
    written = path.read_text()
    second = run_up(tmp_path, "minimal", "up", docker=show)
    needed = {found[1] for found in VARIABLE.finditer(FILE.read_text()) if found[2] == "?"}

    assert first.returncode == second.returncode == 0, first.stderr
    assert "redis://redis:6379/0 compose --env-file" in first.stdout
    assert first.stdout.rstrip().endswith("--profile full up --detach")
    assert "redis" not in second.stdout
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == written
    assert {line.split("=")[0] for line in written.splitlines()} == needed


@pytest.mark.parametrize(
    ("arguments", "code", "says"), [(["full", "up"], 1, "podman-compose"), ([], 2, "profile")]
)
def test_a_missing_engine_or_profile_is_an_error_with_a_remedy(
    tmp_path: Path, arguments: list[str], code: int, says: str
) -> None:
    done = run_up(tmp_path, *arguments)

    assert done.returncode == code
    assert says in done.stderr
    assert "help: " in done.stderr


def test_podman_compose_is_used_where_docker_has_no_compose(tmp_path: Path) -> None:
    done = run_up(tmp_path, "full", "ps", docker="exit 1", podman_compose='echo "podman $@"')

    assert done.stdout.startswith("podman --env-file")


@pytest.mark.parametrize("profile", PROFILES)
def test_an_engine_that_is_here_accepts_the_file(profile: str, tmp_path: Path) -> None:
    env = tmp_path / "compose.env"
    needed = {found[1] for found in VARIABLE.finditer(FILE.read_text()) if found[2] == "?"}
    env.write_text("".join(f"{name}=x\n" for name in needed))
    plugin = shutil.which("docker") and subprocess.run(
        ["docker", "compose", "version"], capture_output=True, check=False
    )
    if not plugin or plugin.returncode:
        pytest.skip("docker compose is not installed")
    done = subprocess.run(
        ["docker", "compose", "--env-file", env, "--profile", profile, "config", "--quiet"],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
