"""What none of the signers signed is refused; ssh-keygen makes and checks signatures, too."""

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import CorruptModel, InvalidSetting
from contracts.names import TAG_SIGNATURE
from registry.promote import promote
from registry.pull import pull
from registry.rollback import rollback
from registry.settings import RegistrySettings
from registry.signing import NAMESPACE, add_signature, statement, version_signature
from registry.ssh_signature import fingerprint, read_signers, sign, verify_signature
from registry.store import Store
from slipway.app import run_command_line
from tests import tiny
from tests.conftest import Workplace
from tests.registry.conftest import Plant
from training.run import train_recipe

MESSAGE = b"a message\n"


def ssh_keygen(*arguments: str, text: bytes = b"") -> str:
    done = subprocess.run(["ssh-keygen", *arguments], input=text, capture_output=True, check=True)
    return done.stdout.decode()


def make_key(folder: Path, name: str, *options: str) -> Path:
    path = folder / name
    ssh_keygen("-q", "-t", "ed25519", "-N", "", "-C", f"{name}@team", "-f", str(path), *options)
    return path


def allow(folder: Path, *keys: Path) -> Path:
    path = folder / "signers"
    lines = [f"{key.name}@team {key.with_suffix('.pub').read_text()}" for key in keys]
    path.write_text("# who may sign\n\n" + "".join(lines))
    return path


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return make_key(tmp_path, "ada")


def signing_store(*, signers: Path, signing_key: Path | str = "") -> Store:
    settings = RegistrySettings(signers=str(signers), signing_key=str(signing_key))
    return Store.open(settings)


def test_ssh_keygen_accepts_our_signature(tmp_path: Path, key: Path) -> None:
    signature = tmp_path / "signature"
    signature.write_text(sign(MESSAGE, NAMESPACE, key))
    words = ["-Y", "verify", "-f", str(allow(tmp_path, key)), "-I", "ada@team", "-n", NAMESPACE]

    said = ssh_keygen(*words, "-s", str(signature), text=MESSAGE)

    assert "Good" in said
    assert fingerprint(next(iter(read_signers(tmp_path / "signers", NAMESPACE)))) in said


@pytest.mark.parametrize("digest", ["sha256", "sha512"])
def test_a_signature_of_ssh_keygen_is_accepted(tmp_path: Path, key: Path, digest: str) -> None:
    words = ["-Y", "sign", "-f", str(key), "-n", NAMESPACE, "-O", f"hashalg={digest}"]
    signature = ssh_keygen(*words, text=MESSAGE)
    signers = read_signers(allow(tmp_path, key), NAMESPACE)

    assert verify_signature(MESSAGE, NAMESPACE, signature, signers, "here") == "ada@team"


def test_signatures_of_anything_else_are_refused(tmp_path: Path, key: Path) -> None:
    stranger = make_key(tmp_path, "eve")
    signers = read_signers(allow(tmp_path, key), NAMESPACE)
    wrong = {
        "of something else": sign(b"another message", NAMESPACE, key),
        "the namespace": sign(MESSAGE, "git", key),
        "ada@team": sign(MESSAGE, NAMESPACE, stranger),
        "an SSH signature": sign(MESSAGE, NAMESPACE, key)[:-40],
    }

    for reason, signature in wrong.items():
        with pytest.raises(CorruptModel, match=reason):
            verify_signature(MESSAGE, NAMESPACE, signature, signers, "here")


@given(data=st.data())
def test_damaged_signatures_are_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.getbasetemp() / "damaged"
    if not folder.exists():
        folder.mkdir()
        make_key(folder, "ada")
    whole = sign(MESSAGE, NAMESPACE, folder / "ada")
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = (
        whole[:at] + data.draw(st.text(max_size=3)) + whole[at + data.draw(st.integers(1, 9)) :]
    )
    if damaged.split() == whole.split():
        return
    signers = read_signers(allow(folder, folder / "ada"), NAMESPACE)

    try:
        name = verify_signature(MESSAGE, NAMESPACE, damaged, signers, "here")
    except CorruptModel:
        return
    # White space may differ, and base64 has bits to spare at its end; the signed bytes may not.
    assert name == "ada@team"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ada@team", "NAME"),
        ("ada@team ssh-rsa AAAA", "ssh-ed25519"),
        ("ada@team cert-authority ssh-ed25519 AAAA", "NAME"),
        ("ada@team ssh-ed25519 AAAA", "an ssh-ed25519 key"),
        ('ada@team namespaces="git', "closed quotation marks"),
        ('ada@team namespaces="a",valid-before="20200101" ssh-ed25519 AAAA', "no option but"),
        ('ada@team namespaces="a",cert-authority ssh-ed25519 AAAA', "no option but"),
        ("ada@team namespaces=a ssh-ed25519 AAAA", "no option but"),
    ],
)
def test_a_line_that_names_no_signer_is_refused(tmp_path: Path, line: str, expected: str) -> None:
    path = tmp_path / "signers"
    path.write_text(f"# comment\n{line}\n")

    with pytest.raises(InvalidSetting, match=f"signers:2: expected .*{expected}"):
        read_signers(path, NAMESPACE)


def test_signers_of_other_things_do_not_count(tmp_path: Path, key: Path) -> None:
    public = key.with_suffix(".pub").read_text()
    path = tmp_path / "signers"
    path.write_text(f'ada@team namespaces="git,file" {public}')
    assert read_signers(path, NAMESPACE) == {}

    path.write_text(f'ada@team namespaces="git,{NAMESPACE}" {public}')
    assert list(read_signers(path, NAMESPACE).values()) == ["ada@team"]


def test_keys_that_cannot_sign_are_refused(tmp_path: Path) -> None:
    ssh_keygen("-q", "-t", "ecdsa", "-N", "", "-f", str(tmp_path / "ecdsa"))
    ssh_keygen("-q", "-t", "ed25519", "-N", "a passphrase", "-f", str(tmp_path / "locked"))
    (tmp_path / "text").write_text("no key")

    for name in ("ecdsa", "locked", "text", "absent"):
        with pytest.raises(InvalidSetting, match="expected an Ed25519 private key"):
            sign(MESSAGE, NAMESPACE, tmp_path / name)


def test_an_unsigned_version_is_neither_promoted_nor_pulled(promoted: Workplace, key: Path) -> None:
    store = signing_store(signers=allow(promoted.root, key))
    before = list(promoted.layout.all_models.glob("tiny/*"))

    with pytest.raises(CorruptModel, match=r"expected a signature by one of .*signers, got none"):
        pull(store, promoted.layout, "tiny")
    assert list(promoted.layout.all_models.glob("tiny/*")) == before

    signature = version_signature("tiny", store.versions.get("tiny", 1).digest, key)
    assert add_signature(store, store.versions.get("tiny", 1), signature) == "ada@team"
    assert pull(store, promoted.layout, "tiny").version == 1


def test_a_signature_counts_for_its_version_only(plant: Plant, key: Path) -> None:
    place = plant("three")
    store = signing_store(signers=allow(place.root, key))
    first = store.versions.get("tiny", 1)
    store.versions.set_tag("tiny", 2, TAG_SIGNATURE, version_signature("tiny", first.digest, key))

    for version, reason in ((2, "of something else"), (3, "got none")):
        with pytest.raises(CorruptModel, match=reason):
            promote(store, "tiny", version, actor="test")
        with pytest.raises(CorruptModel, match=reason):
            rollback(store, "tiny", to=version, actor="test")


def test_training_signs_with_the_key_of_the_settings(workplace: Workplace, key: Path) -> None:
    store = signing_store(signers=allow(workplace.root, key), signing_key=key)
    trained = train_recipe(tiny.binary("tiny"), store)

    assert promote(store, "tiny", trained.version, actor="test").changed
    stored = store.versions.get("tiny", trained.version)
    signature = workplace.root / "signature"
    signature.write_text(stored.tags[TAG_SIGNATURE])
    words = ["-Y", "verify", "-f", store.signers_file, "-I", "ada@team", "-n", NAMESPACE]
    assert "Good" in ssh_keygen(*words, "-s", str(signature), text=statement("tiny", stored.digest))


def test_the_command_signs_and_names_the_signer(
    trained: Workplace,
    key: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SLIPWAY_REGISTRY_SIGNERS", str(allow(trained.root, key)))
    assert run_command_line(["sign", "tiny", "--version", "1", "--statement"]) == 0
    shown = capsys.readouterr().out
    made = ssh_keygen("-Y", "sign", "-f", str(key), "-n", NAMESPACE, text=shown.encode())
    (trained.root / "made").write_text(made)

    words = ["sign", "tiny", "--version", "1", "--signature", "made", "--json"]
    assert run_command_line(words) == 0
    assert json.loads(capsys.readouterr().out) == {
        "name": "tiny",
        "version": 1,
        "signer": "ada@team",
    }
    assert run_command_line(["sign", "tiny", "--version", "2"]) == 2
    assert "expected --key or --signature, got neither" in capsys.readouterr().err


def test_without_a_list_of_signers_only_a_signature_of_the_version_is_kept(
    trained: Workplace, key: Path
) -> None:
    stored = trained.store.versions.get("tiny", 1)
    signature = version_signature("tiny", stored.digest, key)
    public = read_signers(allow(trained.root, key), NAMESPACE)

    assert add_signature(trained.store, stored, signature) == fingerprint(next(iter(public)))
    for wrong in ("# a README", version_signature("tiny", "0" * 64, key)):
        with pytest.raises(CorruptModel, match=r"signature: expected"):
            add_signature(trained.store, stored, wrong)
    assert trained.store.versions.get("tiny", 1).tags[TAG_SIGNATURE] == signature
