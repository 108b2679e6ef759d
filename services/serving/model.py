"""One model as a worker serves it: who is asked, which versions answer, what they are."""

from dataclasses import dataclass

import msgspec
from msgspec import UNSET, UnsetType

from contracts.manifest import Manifest, Metric, Runtime
from contracts.schema import Schema
from services.faults import MAX_SHOWN_CHARS, Fault
from services.inference.loader import ServedModel
from services.serving.endpoint import Endpoint, SingleEndpoint
from services.serving.label_log import LabelLog


class ChallengerDescription(msgspec.Struct, frozen=True):
    """The other version of a split, and the share of the units that it answers."""

    version: int
    weight: float


class ModelDescription(msgspec.Struct, frozen=True):
    """What `GET /models/{name}` answers; about the version in production."""

    name: str
    version: int
    task: str
    runtime: Runtime
    description: str
    schema: Schema
    classes: tuple[str, ...]
    threshold: float | None
    outputs: tuple[str, ...]
    unit: str
    metrics: dict[str, Metric]
    run_id: str
    digest: str
    trained_at: str
    git_commit: str
    challenger: ChallengerDescription | UnsetType = UNSET


@dataclass(frozen=True)
class Model:
    """A model of the repository, by name.

    `endpoint` answers its requests; `versions` are the endpoints behind it, by number, for
    requests that name a version.
    """

    endpoint: Endpoint
    production: SingleEndpoint
    labels: LabelLog
    challenger: SingleEndpoint | None = None
    weight: float = 0.0

    @property
    def served(self) -> ServedModel:
        """The version in production."""
        return self.production.served

    @property
    def manifest(self) -> Manifest:
        """The manifest of the version in production."""
        return self.production.served.manifest

    @property
    def versions(self) -> dict[int, SingleEndpoint]:
        """The endpoints that answer, by version; production's, if both have the same version."""
        endpoints = (self.challenger, self.production)
        return {each.version: each for each in endpoints if each is not None}

    def version(self, version: str) -> SingleEndpoint:
        """The endpoint of the version that a request names, or of production if it names none.

        Raises:
            Fault: `unknown_model`, listing the versions that are served.

        """
        if not version:
            return self.production
        for number, endpoint in self.versions.items():
            if version == str(number):
                return endpoint
        known = " or ".join(map(str, sorted(self.versions)))
        got = repr(version[:MAX_SHOWN_CHARS])
        message = f"version of {self.served.pointer.name}: expected one that is served ({known})"
        raise Fault("unknown_model", f"{message}, got {got}")

    def accept_labels(self, body: bytes) -> bytes:
        """Write the labels of a body; see `LabelLog.accept`."""
        return self.labels.accept(body, self.manifest)

    def describe(self) -> ModelDescription:
        """What the model is."""
        manifest, pointer = self.manifest, self.served.pointer
        challenger: ChallengerDescription | UnsetType = UNSET
        if self.challenger is not None:
            challenger = ChallengerDescription(self.challenger.version, self.weight)
        return ModelDescription(
            name=pointer.name,
            version=pointer.version,
            task=manifest.task,
            runtime=manifest.runtime,
            description=manifest.description,
            schema=manifest.schema,
            classes=manifest.classes,
            threshold=manifest.threshold,
            outputs=manifest.outputs,
            unit=manifest.output_unit,
            metrics=manifest.metrics,
            run_id=pointer.run_id,
            digest=pointer.digest,
            trained_at=manifest.created_at,
            git_commit=manifest.git_commit,
            challenger=challenger,
        )
