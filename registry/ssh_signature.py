"""Signatures as OpenSSH makes them (`ssh-keygen -Y sign`), with Ed25519 keys.

The formats are OpenSSH's own: PROTOCOL.sshsig, and ALLOWED SIGNERS in ssh-keygen(1). Git signs
commits so. A key may therefore be in an agent, in a hardware token or in the secrets of a CI.
"""

import base64
import binascii
import hashlib
import shlex
import struct
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_ssh_private_key,
)

from contracts.errors import CorruptModel, InvalidSetting, preview

KEY_TYPE = "ssh-ed25519"
MAX_SIGNATURE_BYTES = 4096
MAX_SIGNERS_BYTES = 1024 * 1024
_MAGIC = b"SSHSIG"
_VERSION = 1
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_LINE_CHARS = 70
_HASHES = {b"sha256": hashlib.sha256, b"sha512": hashlib.sha512}
_MIN_SIGNER_WORDS = 3


def sign(message: bytes, namespace: str, key_file: Path) -> str:
    """The signature of a message, in the text form that `ssh-keygen -Y verify` reads.

    Raises:
        InvalidSetting: the file has no Ed25519 key, or the key has a passphrase.

    """
    key = _private_key(key_file)
    raw_key = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    digest = hashlib.sha512(message).digest()
    signature = key.sign(_signed_data(namespace.encode(), b"sha512", digest))
    parts = (_typed(raw_key), namespace.encode(), b"", b"sha512", _typed(signature))
    blob = _MAGIC + struct.pack(">I", _VERSION) + b"".join(map(_string, parts))
    text = base64.b64encode(blob).decode()
    lines = [text[at : at + _LINE_CHARS] for at in range(0, len(text), _LINE_CHARS)]
    return "\n".join([_BEGIN, *lines, _END, ""])


def verify_signature(
    message: bytes, namespace: str, signature: str, signers: Mapping[bytes, str], source: str
) -> str:
    """The name of the signer whose signature of the message this is.

    `signers` are names by public key, as `read_signers` gives them; `source` is named in errors.

    Raises:
        CorruptModel: it is no signature, or one of something else or of somebody else.

    """
    raw_key = verified_key(message, namespace, signature, source)
    if raw_key not in signers:
        raise CorruptModel(
            f"{source}: expected the signature of {_one_of(signers)}, got one with the key "
            f"{fingerprint(raw_key)}",
            remedy="let one of them sign the version: slipway sign",
        )
    return signers[raw_key]


def verified_key(message: bytes, namespace: str, signature: str, source: str) -> bytes:
    """The public key, in 32 bytes, that made a signature of the message.

    Raises:
        CorruptModel: it is no signature, or one of something else.

    """
    try:
        raw_key, claimed, hash_name, raw = _parsed(signature)
        public_key = Ed25519PublicKey.from_public_bytes(raw_key)
    except (ValueError, struct.error) as err:
        raise CorruptModel(
            f"{source}: expected an SSH signature with an Ed25519 key, got {preview(signature)}",
            remedy="sign the version again: slipway sign",
        ) from err
    if claimed != namespace.encode():
        raise CorruptModel(
            f"{source}: expected the namespace {namespace!r}, got {preview(repr(claimed))}",
            remedy=f"sign it with ssh-keygen -Y sign -n {namespace}",
        )
    digest = _HASHES[hash_name](message).digest()
    try:
        public_key.verify(raw, _signed_data(claimed, hash_name, digest))
    except InvalidSignature:
        raise CorruptModel(
            f"{source}: expected the signature of this version, got one of something else",
            remedy="sign the version again: slipway sign",
        ) from None
    return raw_key


def fingerprint(raw_key: bytes) -> str:
    """A public key's fingerprint, as `ssh-keygen -l` prints it."""
    digest = base64.b64encode(hashlib.sha256(_typed(raw_key)).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


def read_signers(path: Path, namespace: str) -> dict[bytes, str]:
    """The signers that a file of OpenSSH's format ALLOWED SIGNERS names, by public key.

    A line is `NAME [namespaces="..."] ssh-ed25519 KEY [COMMENT]`; signers for other namespaces
    are left out.

    Raises:
        InvalidSetting: the file cannot be read, or a line has another key or option.

    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SIGNERS_BYTES + 1)
        if len(data) > MAX_SIGNERS_BYTES:
            raise _bad_signers(str(path), f"at most {MAX_SIGNERS_BYTES} bytes", "more")
        lines = data.decode().splitlines()
    except (OSError, UnicodeDecodeError) as err:
        raise _bad_signers(str(path), "a file with a signer on each line", str(err)) from err
    signers = {}
    for number, line in enumerate(lines, 1):
        if line.strip() and not line.lstrip().startswith("#"):
            name, raw_key, namespaces = _signer(line, f"{path}:{number}")
            if not namespaces or namespace in namespaces:
                signers[raw_key] = name
    return signers


def _signer(line: str, source: str) -> tuple[str, bytes, tuple[str, ...]]:
    """The name, the public key, and the namespaces (none: all) of a line of the file."""
    try:
        words = shlex.split(line)
    except ValueError as err:
        raise _bad_signers(source, "closed quotation marks", preview(line)) from err
    namespaces: tuple[str, ...] = ()
    if len(words) > 1 and words[1].startswith("namespaces="):
        listed = words.pop(1).removeprefix("namespaces=")
        # The words have lost their quotation marks, so an option behind the namespaces, such as
        # valid-before="...", would be read as one of them.
        if line.partition("namespaces=")[2].split(maxsplit=1)[0] != f'"{listed}"':
            raise _bad_signers(source, 'no option but namespaces="..."', preview(line))
        namespaces = tuple(listed.split(","))
    if len(words) < _MIN_SIGNER_WORDS or words[1] != KEY_TYPE:
        raise _bad_signers(source, f'NAME [namespaces="..."] {KEY_TYPE} KEY', preview(line))
    try:
        raw_key = _of_key_type(base64.b64decode(words[2], validate=True))
        Ed25519PublicKey.from_public_bytes(raw_key)
    except (ValueError, struct.error) as err:
        raise _bad_signers(source, f"an {KEY_TYPE} key", preview(words[2])) from err
    return words[0], raw_key, namespaces


def _bad_signers(source: str, expected: str, got: str) -> InvalidSetting:
    return InvalidSetting(
        f"{source}: expected {expected}, got {got}",
        remedy="see docs/signing.md for the format of SLIPWAY_REGISTRY_SIGNERS",
    )


def _private_key(path: Path) -> Ed25519PrivateKey:
    try:
        key = load_ssh_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as err:
        raise _bad_key(path, str(err)) from err
    if not isinstance(key, Ed25519PrivateKey):
        raise _bad_key(path, type(key).__name__)
    return key


def _bad_key(path: Path, got: str) -> InvalidSetting:
    return InvalidSetting(
        f"{path}: expected an Ed25519 private key of OpenSSH without a passphrase, got {got}",
        remedy=f"make one: ssh-keygen -t ed25519 -N '' -f {path}; with a passphrase, use "
        "ssh-keygen -Y sign and slipway sign --signature",
    )


def _parsed(text: str) -> tuple[bytes, bytes, bytes, bytes]:
    """The raw public key, the namespace, the name of the hash, and the raw signature.

    Raises:
        ValueError, struct.error: it is not a signature with an Ed25519 key.

    """
    lines = text[:MAX_SIGNATURE_BYTES].strip().splitlines()
    if len(lines) < len((_BEGIN, _END)) or lines[0] != _BEGIN or lines[-1] != _END:
        raise ValueError(text)
    try:
        blob = base64.b64decode("".join(lines[1:-1]), validate=True)
    except binascii.Error as err:
        raise ValueError(text) from err
    head = _MAGIC + struct.pack(">I", _VERSION)
    if not blob.startswith(head):
        raise ValueError(text)
    rest = blob[len(head) :]
    fields = []
    for _ in range(5):
        field, rest = _take(rest)
        fields.append(field)
    public, namespace, _reserved, hash_name, signature = fields
    raw_key, raw = _of_key_type(public), _of_key_type(signature)
    if rest or hash_name not in _HASHES:
        raise ValueError(text)
    return raw_key, namespace, hash_name, raw


def _of_key_type(field: bytes) -> bytes:
    kind, rest = _take(field)
    value, rest = _take(rest)
    if kind != KEY_TYPE.encode() or rest:
        raise ValueError(kind)
    return value


def _signed_data(namespace: bytes, hash_name: bytes, digest: bytes) -> bytes:
    return _MAGIC + b"".join(map(_string, (namespace, b"", hash_name, digest)))


def _typed(value: bytes) -> bytes:
    """A public key or a signature with its type."""
    return _string(KEY_TYPE.encode()) + _string(value)


def _string(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data


def _take(data: bytes) -> tuple[bytes, bytes]:
    """The first string of the bytes, and the rest."""
    (length,) = struct.unpack_from(">I", data)
    if length > len(data) - 4:
        raise ValueError(length)
    return data[4 : 4 + length], data[4 + length :]


def _one_of(signers: Mapping[bytes, str]) -> str:
    names = sorted(set(signers.values()))
    return preview(", ".join(names)) if names else "a signer, of which the file names none"
