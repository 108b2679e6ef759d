"""Register the model that a run logged as a version."""

from collections.abc import Mapping
from pathlib import Path

from contracts.names import TAG_DIGEST, TAG_RECIPE, TAG_SIGNATURE, check_model_name
from registry.signing import version_signature
from registry.store import Store


def register_version(
    store: Store,
    *,
    name: str,
    run_id: str,
    source: str,
    digest: str,
    recipe: str,
    description: str = "",
    version_description: str = "",
    tags: Mapping[str, str] | None = None,
) -> int:
    """Register what a run logged as the next version of `name`; returns its number.

    `source` is the MLflow URI of the logged pipeline. `digest` is the sha256 of the manifest in
    the run's model directory, by which the version is verified wherever it is copied. `description`
    is that of a model that is new, `version_description` that of the version. `tags` are
    additional tags of the version. With a signing key the version is signed.

    Raises:
        InvalidSetting: the signing key cannot be used.

    """
    store.models.ensure(check_model_name(name), description)
    all_tags = {TAG_DIGEST: digest, TAG_RECIPE: recipe, **(tags or {})}
    if store.signing_key:
        all_tags[TAG_SIGNATURE] = version_signature(name, digest, Path(store.signing_key))
    return store.versions.create(name, source, run_id, all_tags, version_description)
