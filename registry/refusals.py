"""Versions that this machine refuses to serve: the one place where that is kept.

A file for each role of a model that names such a version (`Layout.refusal`) says why, how often
and since when. The rest follows from it: the pause before the next try, the service's metric, the
tag `slipway.refused` on the version. A version that passes loses the file and the tag.
"""

import contextlib
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from contracts.errors import InvalidDocument, PlatformError
from contracts.files import unwritable, write_whole
from contracts.manifest import Refusal
from contracts.names import PRODUCTION, Layout
from contracts.printable import printable
from contracts.times import parse_utc, utc_text
from registry.store import Store

TAG_REFUSED = "slipway.refused"
"""On a model version: why it is not served."""
MAX_REASON_CHARS = 4000
"""At most this much of a reason is kept; MLflow accepts 5000 characters in a tag."""
MIN_RETRY_PAUSE_S = 60.0
"""The pause before a refused version is tried again; it doubles with each refusal."""
MAX_RETRY_PAUSE_S = 3600.0


def read_refusals(layout: Layout, name: str) -> list[Refusal]:
    """The refusals of a model that are in force here; a file that cannot be read is none."""
    found = []
    for path in sorted(layout.refusals(name).glob("*.json")):
        with contextlib.suppress(FileNotFoundError, InvalidDocument):
            found.append(Refusal.read(path.read_bytes(), str(path)))
    return found


def retry_pause_s(attempts: int) -> float:
    """The pause after a version was refused `attempts` times in a row.

    >>> [retry_pause_s(attempts) for attempts in (1, 2, 3, 7, 100)]
    [60.0, 120.0, 240.0, 3600.0, 3600.0]
    """
    return min(MIN_RETRY_PAUSE_S * 2.0 ** min(attempts - 1, 30), MAX_RETRY_PAUSE_S)


def must_wait(
    store: Store, layout: Layout, name: str, role: str, version: int, against: str = ""
) -> bool:
    """Whether a role's version was refused, and it is too early to try it again.

    A change of anything that the refusal depends on is a reason to try again at once: of the
    version's digest, or of what it was compared `against`. The tag is written here too, if a
    tracking server did not answer at the time of the refusal.

    Raises:
        RegistryUnreachable: the tracking server does not answer.

    """
    refusal = _read(layout.refusal(name, role, version))
    if refusal is None or refusal.against not in ("", against):
        return False
    stored = store.versions.get(name, version)
    if stored.digest != refusal.digest:
        return False
    if TAG_REFUSED not in stored.tags:
        store.versions.set_tag(name, version, TAG_REFUSED, refusal.reason)
    refused_at = parse_utc(refusal.refused_at)
    pause = timedelta(seconds=retry_pause_s(refusal.attempts))
    # A clock that was set back must not make the pause longer.
    return refused_at <= datetime.now(UTC) < refused_at + pause


def refuse(
    store: Store,
    layout: Layout,
    name: str,
    role: str,
    version: int,
    err: PlatformError,
    against: str = "",
) -> None:
    """Keep a refusal and its reason, first for the service, then as a tag in the registry.

    Raises:
        RegistryUnreachable: the tracking server does not answer; the service has the report.
        Unwritable: a disk of this machine is full, or a folder belongs to another user.

    """
    digest = store.versions.get(name, version).digest
    before = _read(layout.refusal(name, role, version))
    is_same = before is not None and (before.digest, before.against) == (digest, against)
    refusal = Refusal(
        name=name,
        role=role,
        version=version,
        digest=digest,
        against=against,
        reason=printable(err.what)[:MAX_REASON_CHARS],
        attempts=1 + before.attempts if before is not None and is_same else 1,
        refused_at=utc_text(datetime.now(UTC), "seconds"),
    )
    write_whole(layout.refusal(name, role, version), refusal.write_pretty())
    store.versions.set_tag(name, version, TAG_REFUSED, refusal.reason)


def take_back(store: Store, layout: Layout, name: str, role: str, version: int) -> None:
    """End the refusals of a version that passed in a role, and its tag if none is left.

    A version that passed its trial may still be refused in another role, because production takes
    requests that it does not take.

    Raises:
        RegistryUnreachable: the tracking server does not answer; the refusals stay.
        Unwritable: a folder belongs to another user.

    """
    refusals = [each for each in read_refusals(layout, name) if each.version == version]
    ended = [r for r in refusals if role in (PRODUCTION, r.role) or not r.against]
    if len(ended) == len(refusals) and TAG_REFUSED in store.versions.get(name, version).tags:
        store.versions.delete_tag(name, version, TAG_REFUSED)
    for refusal in ended:
        _remove(layout.refusal(name, refusal.role, version))


def keep_refusals(layout: Layout, name: str, versions: Mapping[str, int]) -> None:
    """Remove a model's refusals of versions that no role names any more (`versions` by role).

    Their tags stay: they say why the version was not served.

    Raises:
        Unwritable: a folder belongs to another user.

    """
    kept = {layout.refusal(name, role, version) for role, version in versions.items()}
    for path in layout.refusals(name).glob("*.json"):
        if path not in kept:
            _remove(path)


def keep_models(layout: Layout, names: Collection[str]) -> None:
    """Remove the refusals of models that are no longer registered, and files of earlier releases.

    Those were one file for each model, which was written again with each refusal.

    Raises:
        Unwritable: a folder belongs to another user.

    """
    for path in layout.all_refusals.glob("*"):
        if path.is_file():
            _remove(path)
        elif path.name not in names:
            keep_refusals(layout, path.name, {})


def _read(path: Path) -> Refusal | None:
    try:
        return Refusal.read(path.read_bytes(), str(path))
    except (FileNotFoundError, InvalidDocument):
        return None


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as err:
        raise unwritable(path, err) from err
