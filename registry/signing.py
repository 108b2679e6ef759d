"""Signatures of versions: who signed what is served.

A version's digest is the sha256 of its manifest, and the manifest has the sha256 of every file, so
a signature of name and digest is one of the whole model directory. It is a tag on the version.
With SLIPWAY_REGISTRY_SIGNERS, a version that none of them signed is refused like one with a wrong
digest, before anything of it is loaded.
"""

from pathlib import Path

from contracts.errors import CorruptModel
from contracts.names import TAG_SIGNATURE
from registry import ssh_signature
from registry.manifests import require_digest
from registry.mlflow_store.versions import StoredVersion
from registry.store import Store

NAMESPACE = "slipway-model"
"""What the signatures are for, so that none of a commit or a mail counts as one of a model."""


def statement(name: str, digest: str) -> bytes:
    """What is signed: three lines.

    >>> statement("loan", "ab12").splitlines()
    [b'slipway model', b'name: loan', b'sha256: ab12']
    """
    return f"slipway model\nname: {name}\nsha256: {digest}\n".encode()


def version_signature(name: str, digest: str, key_file: Path) -> str:
    """The signature of a version by its name and digest.

    Raises:
        InvalidSetting: the file has no Ed25519 key, or the key has a passphrase.

    """
    return ssh_signature.sign(statement(name, digest), NAMESPACE, key_file)


def check_signing_key(store: Store) -> None:
    """Refuse a signing key that cannot be used, before the work whose result it is to sign.

    Raises:
        InvalidSetting: the file has no Ed25519 key, or the key has a passphrase.

    """
    if store.signing_key:
        version_signature("", "", Path(store.signing_key))


def add_signature(store: Store, stored: StoredVersion, signature: str) -> str:
    """Make a signature the one of a version; returns the name of its signer.

    Without a list of signers, everybody's signature of the version counts, and its key's
    fingerprint is the name.

    Raises:
        NotRegistered: `slipway train` did not make the version.
        CorruptModel: it is not a signature of this version, or by none of the signers.
        InvalidSetting: the file of signers cannot be read.

    """
    if store.signers_file:
        signer = _signer(store, stored, signature)
    else:
        message = statement(stored.name, require_digest(stored))
        key = ssh_signature.verified_key(message, NAMESPACE, signature, _source(stored))
        signer = ssh_signature.fingerprint(key)
    store.versions.set_tag(stored.name, stored.version, TAG_SIGNATURE, signature)
    return signer


def require_signature(store: Store, stored: StoredVersion) -> str:
    """The name of a version's signer; empty if this registry asks for no signatures.

    Raises:
        CorruptModel: none of the signers signed the version.
        InvalidSetting: the file of signers cannot be read.

    """
    if not store.signers_file:
        return ""
    signature = stored.tags.get(TAG_SIGNATURE)
    if signature is None:
        raise CorruptModel(
            f"{stored.name} version {stored.version}: expected a signature by one of "
            f"{store.signers_file}, got none",
            remedy=f"slipway sign {stored.name} --version {stored.version}",
        )
    return _signer(store, stored, signature)


def _signer(store: Store, stored: StoredVersion, signature: str) -> str:
    signers = ssh_signature.read_signers(Path(store.signers_file), NAMESPACE)
    message = statement(stored.name, require_digest(stored))
    return ssh_signature.verify_signature(message, NAMESPACE, signature, signers, _source(stored))


def _source(stored: StoredVersion) -> str:
    return f"{stored.name} version {stored.version}: signature"
