"""The model card: figures that scikit-learn finds too, a page for the browser, the record."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix

from contracts.card import MIN_COUNT, ModelCard
from contracts.manifest import CardNotes, Manifest
from contracts.names import MODEL_DIRECTORY, SAMPLE_FILE
from contracts.schema import Schema, boolean, category
from slipway.app import run_command_line
from tests import tiny
from tests.conftest import Workplace
from training.card.page import card_html
from training.card.segments import segment_figures
from training.run import train_recipe

GOLDEN = Path(__file__).parents[1] / "contracts" / "golden"


SCHEMA = Schema(features=(category("region", ["north", "south", "tiny"]), boolean("owner")))


def manifest_with(**changes: Any) -> Manifest:
    manifest = Manifest.read((GOLDEN / "manifest.v1.json").read_bytes())
    return msgspec.structs.replace(manifest, schema=SCHEMA, **changes)


def binary_sample(n: int) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "region": rng.choice(["north", "south", "tiny"], n, p=[0.6, 0.39, 0.01]),
            "owner": rng.choice([0.0, 1.0], n),
            "prediction": rng.choice(["no", "yes"], n),
            "label": rng.choice(["no", "yes"], n),
        }
    )


def test_rates_by_segment_are_those_of_a_confusion_matrix() -> None:
    sample = binary_sample(3000)
    manifest = manifest_with(
        task="binary", classes=("no", "yes"), outputs=(), segments=("region", "owner")
    )
    found = segment_figures(manifest, sample)

    for each in found:
        rows = sample
        for feature, value in each.segment.items():
            wanted = {"true": 1.0, "false": 0.0}.get(value, value)
            rows = rows[rows[feature] == wanted]
        tn, fp, fn, tp = confusion_matrix(rows["label"], rows["prediction"]).ravel()
        expected = {
            "selection rate": ((tp + fp), len(rows)),
            "false positive rate": (fp, fp + tn),
            "false negative rate": (fn, fn + tp),
            "accuracy": (tp + tn, len(rows)),
        }
        assert each.rows == len(rows)
        for name, (hits, n) in expected.items():
            figure = each.figures[name]
            if n < MIN_COUNT:
                assert figure is None
            else:
                assert figure is not None
                assert figure.value == pytest.approx(hits / n)
                assert figure.low < figure.value < figure.high
    assert {"region": "north", "owner": "true"} in [each.segment for each in found]
    assert all(each.rows >= MIN_COUNT for each in found if len(each.segment) > 1)


def test_a_regression_has_the_size_and_the_direction_of_its_errors() -> None:
    sample = pd.DataFrame(
        {"region": ["north"] * 100 + ["south"] * 100, "label": np.arange(200.0)}
    ).assign(prediction=lambda rows: rows["label"] + np.where(rows["region"] == "north", 2.0, -3.0))
    manifest = manifest_with(task="regression", classes=(), outputs=("y",), segments=("region",))

    figures = {each.segment["region"]: each.figures for each in segment_figures(manifest, sample)}

    assert figures["north"]["mean error"].value == pytest.approx(2.0)  # type: ignore[union-attr]
    assert figures["south"]["mean error"].value == pytest.approx(-3.0)  # type: ignore[union-attr]
    assert figures["south"]["mean absolute error"].value == pytest.approx(3.0)  # type: ignore[union-attr]


def test_a_version_has_a_card_from_its_registration_on(
    workplace: Workplace, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = CardNotes(intended_use="<script>alert(1)</script>", owner="ada")
    recipe = replace(tiny.binary("tiny"), card=notes)
    trained = train_recipe(recipe, workplace.store)
    artifacts = next(workplace.root.glob(f"mlruns/*/{trained.run_id}/artifacts"))
    first = ModelCard.read((artifacts / "card" / "card.json").read_bytes())
    page = (artifacts / "card" / "card.html").read_text()

    assert first.deployment is None
    assert first.notes == notes
    assert first.digest == trained.digest
    assert "<script>" not in page
    assert "not filled in" in page
    assert first.sample_rows == len(pd.read_parquet(artifacts / MODEL_DIRECTORY / SAMPLE_FILE))

    assert run_command_line(["promote", "tiny"]) == 0
    capsys.readouterr()
    assert run_command_line(["card", "tiny", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    later = ModelCard.read((artifacts / "card" / "card.json").read_bytes())
    assert msgspec.convert(shown, ModelCard) == later
    assert later.deployment is not None
    assert later.deployment.is_production
    assert [decision.outcome for decision in later.deployment.decisions] == ["promoted"]
    assert later.deployment.track_record is None
    assert (workplace.layout.card("tiny", 1) / "card.html").read_text() == card_html(later)


def test_the_track_record_counts_the_verdicts_of_the_version(workplace: Workplace) -> None:
    from training.card.deployment import deployment_of

    train_recipe(tiny.binary("tiny"), workplace.store)
    verdict = json.loads((GOLDEN / "verdict.v2.json").read_bytes())
    folder = workplace.layout.verdicts / "tiny"
    folder.mkdir(parents=True)
    for name in ("tiny-1-20260101T000000.000Z-20260102T000000.000Z", "tiny-12-x"):
        (folder / f"{name}.json").write_text(json.dumps(verdict | {"verdict_id": name}))
    (folder / "tiny-1-20260103T000000.000Z-torn.json").write_text("{")

    found = deployment_of(workplace.store, workplace.layout, "tiny", 1, workplace.root)

    assert found.track_record is not None
    assert found.track_record.windows == 1
    assert found.track_record.rows == verdict["window"]["rows"]
    assert found.track_record.latest == verdict["sentence"]
    assert not found.is_production


def test_a_sample_without_labels_has_no_segments() -> None:
    manifest = manifest_with(task="binary", classes=("no", "yes"), segments=("region",))

    assert segment_figures(manifest, binary_sample(200).drop(columns="label")) == ()


def test_rows_without_a_known_value_are_segments_of_their_own() -> None:
    sample = binary_sample(300).assign(region=["north"] * 100 + [None] * 100 + ["elsewhere"] * 100)
    manifest = manifest_with(task="binary", classes=("no", "yes"), outputs=(), segments=("region",))

    found = {each.segment["region"]: each.rows for each in segment_figures(manifest, sample)}

    assert found == {"north": 100, "(missing)": 100, "(unseen)": 100}
