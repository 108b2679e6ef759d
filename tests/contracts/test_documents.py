"""Documents of earlier versions are readable, and newer or foreign ones are refused by name."""

import json
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contracts.canary import Canary, CanaryEvidence
from contracts.card import ModelCard
from contracts.compaction import CompactionManifest
from contracts.decision import Decision
from contracts.documents import Document
from contracts.edge_model import EdgeModel
from contracts.errors import InvalidDocument
from contracts.experiment import Experiment
from contracts.manifest import Manifest, Pointer, Refusal
from contracts.process_error import ProcessError
from contracts.pull import PullResult
from contracts.reference import NumberReference, Reference
from contracts.replay import Replay, Scored
from contracts.retraining import Retraining, RetrainingRequest, RetrainingWait
from contracts.scored_output import ScoredFile, ScoredOutput
from contracts.season import SeasonProfile, WindowCounts
from contracts.shadow import ShadowRecord
from contracts.split import TrafficSplit
from contracts.traffic import TrafficRecord
from contracts.verdict import Acceptance, Verdict

GOLDEN = Path(__file__).parent / "golden"
KINDS: dict[str, type[Document]] = {
    "acceptance": Acceptance,
    "canary": Canary,
    "canaryevidence": CanaryEvidence,
    "compactionmanifest": CompactionManifest,
    "decision": Decision,
    "edgemodel": EdgeModel,
    "experiment": Experiment,
    "manifest": Manifest,
    "modelcard": ModelCard,
    "order": RetrainingRequest,
    "pointer": Pointer,
    "processerror": ProcessError,
    "pullresult": PullResult,
    "reference": Reference,
    "shadowrecord": ShadowRecord,
    "refusal": Refusal,
    "replay": Replay,
    "scored": Scored,
    "scoredfile": ScoredFile,
    "scoredoutput": ScoredOutput,
    "seasonprofile": SeasonProfile,
    "retraining": Retraining,
    "retrainingwait": RetrainingWait,
    "traffic": TrafficRecord,
    "trafficsplit": TrafficSplit,
    "verdict": Verdict,
    "windowcounts": WindowCounts,
}
FILES = sorted(GOLDEN.glob("*.json"))


def kind_of(path: Path) -> type[Document]:
    return KINDS[path.name.split(".")[0]]


def holds(written: object, golden: object) -> bool:
    """Whether what was written says all that the golden document says; new fields may be there."""
    if isinstance(golden, dict):
        return isinstance(written, dict) and all(
            key in written and holds(written[key], value) for key, value in golden.items()
        )
    if isinstance(golden, list):
        return (
            isinstance(written, list)
            and len(written) == len(golden)
            and all(map(holds, written, golden))
        )
    return written == golden


def test_every_document_has_a_golden_file() -> None:
    assert {path.name.split(".")[0] for path in FILES} == set(KINDS)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_golden_document_survives_reading_and_writing(path: Path) -> None:
    document = kind_of(path).read(path.read_bytes(), path.name)
    written = json.loads(document.write_pretty())
    golden = json.loads(path.read_bytes())

    assert holds(written, golden | {"document_version": kind_of(path).VERSION})


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_field_of_tomorrow_is_ignored(path: Path) -> None:
    tomorrow = json.loads(path.read_bytes()) | {"colour": "blue"}
    read = kind_of(path).read(json.dumps(tomorrow).encode())

    assert read == kind_of(path).read(path.read_bytes())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_newer_version_is_refused_by_name(path: Path) -> None:
    newer = json.loads(path.read_bytes()) | {"document_version": 99}
    newest = kind_of(path).VERSION
    with pytest.raises(InvalidDocument, match=f"expected document_version up to {newest}, got 99"):
        kind_of(path).read(json.dumps(newer).encode(), path.name)


def test_a_wrong_type_is_named_with_its_path_and_source() -> None:
    broken = json.loads((GOLDEN / "manifest.v1.json").read_bytes())
    broken["data"]["n_train"] = "many"
    with pytest.raises(InvalidDocument, match=r"loan/manifest.json.*\$\.data\.n_train"):
        Manifest.read(json.dumps(broken).encode(), "loan/manifest.json")


def test_writing_refuses_what_reading_would_refuse() -> None:
    wrong = Pointer(
        name="loan",
        version="seven",  # type: ignore[arg-type]  # the mistake under test
        run_id="r",
        digest="d",
        bento_tag="loan:7",
        moved_at="2026-01-01T00:00:00Z",
    )
    with pytest.raises(InvalidDocument, match="Pointer to be written"):
        wrong.write()


@given(st.binary(max_size=200))
@example(b"{}")
def test_no_bytes_crash_a_reader(data: bytes) -> None:
    for kind in KINDS.values():
        try:
            found = kind.read(data)
        except InvalidDocument:
            continue
        assert found == kind(), "only a document without required fields reads so few bytes"


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), unique=True, max_size=63),
    st.integers(min_value=0, max_value=10**12),
)
def test_a_reference_survives_exactly(edges: list[float], missing: int) -> None:
    column = NumberReference(
        edges=tuple(sorted(edges)),
        counts=tuple(range(len(edges) + 1)),
        missing=missing,
        minimum=-1.5,
        maximum=0.1,
        mean=1 / 3,
        std=2e-300,
    )
    reference = Reference(n_rows=1, n_predictions=1, features={"x": column}, predictions={})

    assert Reference.read(reference.write()) == reference


def test_a_manifest_of_before_there_were_runtimes_is_one_of_onnx() -> None:
    old = Manifest.read((GOLDEN / "manifest.v1.json").read_bytes())
    new = Manifest.read((GOLDEN / "manifest.v1-sklearn.json").read_bytes())

    assert (old.runtime, old.requirements) == ("onnx", {})
    assert new.runtime == "sklearn"
    assert set(new.requirements) == {"scikit-learn", "pandas", "skops"}
