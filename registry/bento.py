"""The door to BentoML's model store: the same model directory under a Bento's roof."""

import shutil
from pathlib import Path

from contracts.manifest import Manifest


def bento_tag(name: str, version: int, digest: str) -> str:
    """The tag of a version in BentoML's model store; the digest keeps rebuilt ones apart."""
    return f"{name}:{version}-{digest[:12]}"


def import_directory(directory: Path, manifest: Manifest, version: int, digest: str) -> str:
    """Copy a verified model directory into BentoML's model store, once; gives its tag."""
    import bentoml
    from bentoml.exceptions import BentoMLException, NotFound

    tag = bento_tag(manifest.name, version, digest)
    try:
        bentoml.models.get(tag)
    except NotFound:
        try:
            with bentoml.models.create(tag, labels=_labels(manifest, version, digest)) as model:
                shutil.copytree(directory, model.path, dirs_exist_ok=True)
        except BentoMLException:
            # Another process imported it in the meantime; if not, the failure is real.
            bentoml.models.get(tag)
    return tag


def _labels(manifest: Manifest, version: int, digest: str) -> dict[str, str]:
    return {"run_id": manifest.run_id, "version": str(version), "digest": digest[:63]}
