"""A request without a valid key is refused before its body is read; a key opens its scopes."""

import json
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import InvalidDocument, InvalidSetting, NotFoundHere
from contracts.settings import Secret
from services.auth.guard import Guard, resolve_mode
from services.auth.keys import KeyRing, create_key, read_ring, revoke_key, rotate_key
from services.faults import STATUSES, Fault
from services.settings import ServiceSettings
from tests.services.conftest import serving, start
from tests.services.http_client import JSON, ask

EVERYWHERE = "0.0.0.0"  # noqa: S104 - named to be refused, never bound
NOW = datetime(2026, 1, 31, tzinfo=UTC)


def code_of(guard: Guard, headers: dict[bytes, bytes], scope: Any = "predict") -> str:
    try:
        guard.admit(headers, scope)
    except Fault as fault:
        return fault.message if STATUSES[fault.code] == 500 else next(iter(str(fault).split(":")))
    return "admitted"


def guard_of(folder: Path, **settings: Any) -> Guard:
    return Guard(ServiceSettings(var=folder, keys="required", **settings))


def test_a_key_file_holds_no_key_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    key, text = create_key(path, "shop", ("predict",), "100/second")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert text not in path.read_text()
    assert text.split("_", 2)[2] not in path.read_text()
    assert read_ring(path).find(text, NOW) == key
    assert [p.name for p in tmp_path.iterdir() if "keys.json-" in p.name] == []


def test_a_key_ends_when_it_expires_is_rotated_or_revoked(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    now = datetime.now(UTC)
    brief, brief_text = create_key(path, "brief", ("predict",), expires_in=timedelta(hours=1))
    old, old_text = create_key(path, "shop", ("predict", "labels"), "5/minute")
    new, new_text = rotate_key(path, old.id, timedelta(hours=1))

    def opens(text: str, after_h: float) -> bool:
        return read_ring(path).find(text, now + timedelta(hours=after_h)) is not None

    assert [opens(brief_text, h) for h in (0, 2)] == [True, False]
    assert [opens(old_text, h) for h in (0, 2)] == [True, False]
    assert [opens(new_text, h) for h in (0, 2)] == [True, True]
    assert (new.name, new.scopes, new.rate) == (old.name, old.scopes, old.rate)
    revoke_key(path, new.id)
    assert not opens(new_text, 0)
    with pytest.raises(NotFoundHere, match="expected a valid key"):
        rotate_key(path, new.id, timedelta())
    with pytest.raises(NotFoundHere, match=f"expected one of {brief.id}"):
        revoke_key(path, "nobody")


def test_a_key_file_that_is_a_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(InvalidDocument, match="expected a readable key file"):
        read_ring(tmp_path)


@given(st.text() | st.from_regex(r"slw_[0-9a-f]{8}_.*"))
def test_no_text_but_the_key_opens(text: str) -> None:
    ring = KeyRing.read(RING)

    assert ring.find(text, NOW) is None


RING = json.dumps(
    {
        "keys": [
            {
                "id": "00000000",
                "name": "shop",
                "sha256": "0" * 64,
                "scopes": ["predict"],
                "created_at": "2026-01-01T00:00:00Z",
            }
        ]
    }
).encode()


def test_keys_made_by_many_processes_are_all_kept(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    code = (
        "import sys; from pathlib import Path; from services.auth.keys import create_key\n"
        "for i in range(5): create_key(Path(sys.argv[1]), f'{sys.argv[2]}-{i}', ('predict',))"
    )
    command = [sys.executable, "-c", code, str(path)]
    jobs = [subprocess.Popen([*command, str(n)], cwd=Path(__file__).parents[3]) for n in range(4)]
    assert [job.wait(60) for job in jobs] == [0] * 4

    assert len({key.name for key in read_ring(path).keys}) == 20


@pytest.mark.parametrize(
    ("scopes", "rate", "message"),
    [
        (("predict", "root"), "", "scope: expected some of predict, labels, admin, got root"),
        ((), "", "got none"),
        (("predict",), "often", "rate: expected a number of requests per time, got 'often'"),
    ],
)
def test_a_key_with_a_wrong_scope_or_rate_is_not_made(
    tmp_path: Path, scopes: tuple[str, ...], rate: str, message: str
) -> None:
    with pytest.raises(InvalidSetting, match=message):
        create_key(tmp_path / "keys.json", "shop", scopes, rate)

    assert not (tmp_path / "keys.json").exists()


def test_the_guard_asks_for_the_key_then_its_scope_then_its_rate(tmp_path: Path) -> None:
    _, text = create_key(tmp_path / "keys.json", "shop", ("predict",), "2/hour")
    guard = guard_of(tmp_path)
    right = {b"authorization": b"Bearer " + text.encode()}

    assert code_of(guard, {}) == "unauthorized"
    assert code_of(guard, {b"authorization": b"Basic " + text.encode()}) == "unauthorized"
    assert code_of(guard, {b"x-api-key": text[:-1].encode()}) == "unauthorized"
    assert code_of(guard, {b"x-api-key": b"\xff\xfe"}) == "unauthorized"
    assert code_of(guard, right, "admin") == "forbidden"
    assert [code_of(guard, right) for _ in range(2)] == ["admitted"] * 2
    assert code_of(guard, {b"x-api-key": text.encode()}) == "rate_limited"


def test_a_revoked_key_opens_nothing_a_second_later(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    key, text = create_key(path, "shop", ("predict",))
    guard = guard_of(tmp_path)
    assert code_of(guard, {b"x-api-key": text.encode()}) == "admitted"
    revoke_key(path, key.id)
    time.sleep(1.1)
    assert code_of(guard, {b"x-api-key": text.encode()}) == "unauthorized"


def test_a_key_file_that_was_spoilt_leaves_the_keys_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    _, text = create_key(path, "shop", ("predict",))
    guard = guard_of(tmp_path)
    assert code_of(guard, {b"x-api-key": text.encode()}) == "admitted"
    path.write_text("{")
    time.sleep(1.1)
    assert code_of(guard, {b"x-api-key": text.encode()}) == "admitted"


@pytest.mark.parametrize(
    ("host", "mode", "expected"),
    [
        ("127.0.0.1", "auto", "off"),
        ("::1", "auto", "off"),
        ("localhost", "auto", "off"),
        (EVERYWHERE, "auto", "refused"),
        ("192.168.1.2", "auto", "refused"),
        ("example.org", "auto", "refused"),
        (None, "auto", "refused"),
        (EVERYWHERE, "off", "off"),
        ("127.0.0.1", "required", "refused"),
    ],
)
def test_off_loopback_the_service_starts_with_keys_only(
    tmp_path: Path, host: str | None, mode: Any, expected: str
) -> None:
    settings = ServiceSettings(var=tmp_path, keys=mode)
    if expected == "refused":
        with pytest.raises(InvalidSetting, match="expected an API key"):
            resolve_mode(settings, host)
        create_key(tmp_path / "keys.json", "shop", ("predict",))
        assert resolve_mode(settings, host) == "required"
    else:
        assert resolve_mode(settings, host) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    "environ",
    [
        {"BENTOML_HOST": EVERYWHERE},
        {"BENTOML_CONFIG_OPTIONS": f"services.predictor.http.host={EVERYWHERE}"},
    ],
)
def test_the_start_off_loopback_is_refused_before_anything_listens(
    models: Path, tmp_path: Path, environ: dict[str, str]
) -> None:
    process, _, log = start(tmp_path, models, **environ)

    assert process.wait(60) == 1
    assert "expected an API key, because the service listens on 0.0.0.0" in log.read_text()
    assert "Traceback" not in log.read_text()


@pytest.mark.slow
def test_a_service_with_keys_opens_to_the_right_ones(models: Path, tmp_path: Path) -> None:
    ring = tmp_path / "keys.json"
    shop, shop_key = create_key(ring, "shop", ("predict",))
    _, slow_key = create_key(ring, "slow", ("predict",), "3/hour")
    _, admin_key = create_key(ring, "prometheus", ("admin",))
    environ = {"SLIPWAY_SERVICE_KEYS": "required", "SLIPWAY_SERVICE_KEYS_FILE": str(ring)}
    with serving(tmp_path, models, **environ) as service:

        def status(path: str, key: str = "", method: str = "POST") -> int:
            headers = JSON | ({"authorization": f"Bearer {key}"} if key else {})
            return ask(service, path, None if method == "GET" else b"{}", method, headers)[0]

        assert status("/models/tiny/predict") == 401
        assert status("/models/tiny/predict", "slw_x_y") == 401
        assert [status("/models/tiny/predict", shop_key) for _ in range(3)] == [422] * 3
        assert status("/models/tiny/predict", admin_key) == 403
        limited = [status("/models/tiny/predict", slow_key) for _ in range(5)]
        assert limited == [422, 422, 422, 429, 429]
        _, body, headers = ask(
            service, "/v2/models/tiny/infer", headers=JSON | {"x-api-key": slow_key}
        )
        assert body["code"] == "rate_limited"
        assert int(headers["retry-after"]) >= 1
        for path in ("/livez", "/readyz", "/healthz", "/v2/health/ready", "/ping"):
            assert status(path, method="GET") == 200, path
        for path in ("/", "/docs.json", "/schema.json", "/models", "/v2/models/tiny"):
            assert status(path, method="GET") == 401, path
            assert status(path, shop_key, "GET") == 200, path
        assert status("/metrics", shop_key, "GET") == 403
        assert status("/metrics", admin_key, "GET") == 200
        assert status("/no/such/path", method="GET") == 401
        revoke_key(ring, shop.id)
        time.sleep(1.1)
        assert status("/models/tiny/predict", shop_key) == 401


@pytest.mark.slow
def test_rates_are_shared_through_redis_and_survive_its_end(tmp_path: Path, redis: Any) -> None:
    import asyncio

    _, text = create_key(tmp_path / "keys.json", "shop", ("predict",), "3/hour")
    headers = {b"x-api-key": text.encode()}

    async def admitted(guard: Guard) -> str:
        try:
            await guard.aadmit(headers, "predict")
        except Fault as fault:
            return str(fault).split(":")[0]
        return "admitted"

    async def story() -> None:
        shared = {"redis_url": Secret(redis.url), "redis_timeout_s": 1.0}
        guards = [guard_of(tmp_path, **shared) for _ in range(2)]
        assert [await admitted(guards[n % 2]) for n in range(4)] == ["admitted"] * 3 + [
            "rate_limited"
        ]
        redis.stop()
        before = time.monotonic()
        assert await admitted(guards[0]) == "admitted"
        assert time.monotonic() - before < 1.5
        for guard in guards:
            await guard.close()

    asyncio.run(story())


def test_the_command_line_makes_lists_rotates_and_revokes(tmp_path: Path) -> None:
    def slipway(*arguments: str) -> Any:
        done = subprocess.run(
            [sys.executable, "-m", "slipway", "keys", *arguments, "--json"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        return json.loads(done.stdout or done.stderr), done.returncode

    made, _ = slipway("create", "shop", "--scope", "predict", "--rate", "100/second")
    assert made["key"].startswith(f"slw_{made['id']}_")
    rotated, _ = slipway("rotate", made["id"], "--grace", "1h")
    listed, _ = slipway("list")
    assert [(k["id"], bool(k["expires_at"])) for k in listed] == [
        (made["id"], True),
        (rotated["id"], False),
    ]
    assert "sha256" not in json.dumps(listed)
    assert slipway("revoke", rotated["id"])[0]["revoked_at"]
    failed, code = slipway("revoke", "nobody")
    assert code == 1
    assert "expected one of" in json.dumps(failed)
