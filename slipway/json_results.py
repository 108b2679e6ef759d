"""What each command prints with `--json`: its type, and the JSON schema of that.

The one list of results. `slipway schema` prints it, and the reference pages are made from it. A
type is imported when it is asked for: most are documents of other packages, which are heavy.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from contracts.errors import InvalidUsage, preview
from contracts.json_schema import JsonSchema

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


@dataclass(frozen=True)
class ListOf:
    """A list whose items are of one of several types."""

    kinds: tuple[type, ...]


@dataclass(frozen=True)
class JsonResult:
    """What a command prints, in a few words, and its type: a class, `list[...]` or `ListOf`."""

    prints: str
    load_type: Callable[[], Any]

    def schema(self) -> JsonSchema:
        """The JSON schema of the result."""
        kind = self.load_type()
        kinds = kind.kinds if isinstance(kind, ListOf) else (kind,)
        schemas, components = msgspec.json.schema_components(
            kinds, schema_hook=_schema_of, ref_template="#/$defs/{name}"
        )
        schema: JsonSchema = schemas[0]
        if isinstance(kind, ListOf):
            schema = {"type": "array", "items": {"anyOf": list(schemas)}}
        return {"$schema": SCHEMA_DIALECT, **schema, "$defs": components}


def _schema_of(kind: type) -> JsonSchema:
    """The schema of a type that is printed as text."""
    if issubclass(kind, Path | datetime):
        return {"type": "string"}
    raise NotImplementedError(kind)


def _of(path: str) -> Callable[[], Any]:
    """The type at `module:Name`, imported when it is asked for."""

    def load() -> Any:
        from importlib import import_module

        module, _, name = path.partition(":")
        return getattr(import_module(module), name)

    return load


def _many(path: str) -> Callable[[], Any]:
    return lambda: list[_of(path)()]  # type: ignore[misc]  # a type that is known when it is asked for


def _compaction() -> Any:
    from monitoring.traffic.compaction_steps import Compaction

    return msgspec.defstruct("Compactions", [("traffic", Compaction), ("labels", Compaction)])


def _story() -> Any:
    from contracts.verdict import Verdict
    from slipway.load_client import LoadResult
    from training.run import TrainedVersion

    window = msgspec.defstruct(
        "JudgedWindow", [("traffic", str), ("load", LoadResult), ("verdict", Verdict)]
    )
    story = msgspec.defstruct(
        "ModelStory",
        [("trained", TrainedVersion), ("promotion", str), ("windows", list[window])],  # type: ignore[valid-type]  # a type made here
    )
    return list[story]  # type: ignore[valid-type]  # a type made here


def _diagnosis() -> Any:
    from registry.doctor import Problem

    return msgspec.defstruct("Diagnosis", [("ailments", list[Problem]), ("repaired", list[str])])


def _explained_prediction() -> Any:
    from contracts.traffic import TrafficRecord
    from monitoring.explanation.shapley import Explanation
    from registry.lineage import Lineage

    return msgspec.defstruct(
        "ExplainedPrediction",
        [
            ("prediction", TrafficRecord),
            ("lineage", Lineage),
            ("contributions", Explanation | msgspec.UnsetType, msgspec.UNSET),
        ],
    )


def _trained() -> Any:
    from slipway.results import FailedRecipe
    from training.dry_run import TriedRecipe
    from training.run import TrainedVersion

    return ListOf((TrainedVersion, TriedRecipe, FailedRecipe))


_PROMOTION = _of("registry.promote:Promotion")

RESULTS = {
    "new": JsonResult("the drafted recipe", _of("slipway.results:DraftedRecipe")),
    "train": JsonResult("a version or an error for each recipe", _trained),
    "sign": JsonResult("the signed version", _of("slipway.results:SignedVersion")),
    "promote": JsonResult("the promotion with its decision", _PROMOTION),
    "rollback": JsonResult("the change of production", _PROMOTION),
    "versions": JsonResult("the versions", _many("registry.listing:VersionInfo")),
    "history": JsonResult("the changes of production", _many("registry.history:Event")),
    "serve": JsonResult("the address", _of("slipway.results:ServiceAddress")),
    "pull": JsonResult("what was pulled and refused", _of("contracts.pull:PullResult")),
    "card": JsonResult("the model card", _of("contracts.card:ModelCard")),
    "export": JsonResult("the exported version", _of("contracts.edge_model:EdgeModel")),
    "score": JsonResult("the output", _of("contracts.scored_output:ScoredOutput")),
    "status": JsonResult("the state of each model", _many("slipway.model_state:ModelState")),
    "simulate": JsonResult("what was measured", _of("slipway.load_client:LoadResult")),
    "traffic-split": JsonResult("the share of each role", _many("slipway.results:RoleShare")),
    "monitor": JsonResult(
        "the verdict; with --every one after each window", _of("contracts.verdict:Verdict")
    ),
    "accept": JsonResult("the acceptance", _of("contracts.verdict:Acceptance")),
    "labels": JsonResult("what was imported", _of("monitoring.labels.ingest:AddedLabels")),
    "retrain": JsonResult("the retraining", _of("contracts.retraining:Retraining")),
    "board": JsonResult("the address, or with --write the page", lambda: dict[str, str]),
    "replay": JsonResult("the replay", _of("contracts.replay:Replay")),
    "ab": JsonResult("the analysis", _of("contracts.experiment:Experiment")),
    "explain": JsonResult("the prediction and where it comes from", _explained_prediction),
    "keys create": JsonResult("the key, with its text", _of("slipway.results:NewKey")),
    "keys list": JsonResult("the keys", _many("slipway.results:PublicKey")),
    "keys rotate": JsonResult("the new key, with its text", _of("slipway.results:NewKey")),
    "keys revoke": JsonResult("the key", _of("slipway.results:PublicKey")),
    "compact": JsonResult("what was converted and deleted", _compaction),
    "doctor": JsonResult("what was found and repaired", _diagnosis),
    "demo": JsonResult("what happened to each model", _story),
    "size": JsonResult("the replicas", _of("slipway.sizing:Sizing")),
    "schema": JsonResult("the JSON schema of a command", lambda: dict[str, Any]),
}
"""By command. Commands that are not here only log; with `--json` their errors are JSON."""
ERROR = JsonResult("an error", _of("slipway.results:CommandError"))
"""What any command prints instead if it fails."""


def schema_of(command: str) -> JsonSchema:
    """The JSON schema of what a command prints; `error` for that of errors.

    Raises:
        InvalidUsage: the command is unknown, or prints no JSON.

    """
    found = {**RESULTS, "error": ERROR}.get(command)
    if found is None:
        raise InvalidUsage(
            f"COMMAND: expected one that prints JSON, got {preview(command)}",
            remedy="slipway schema lists them",
        )
    return found.schema()
