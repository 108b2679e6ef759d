"""On a shared server, the models of others are read and never changed."""

import json
from typing import Any

import pytest
from mlflow import MlflowClient

from contracts.errors import CorruptModel, NotRegistered
from registry.doctor import examine
from registry.history import history
from registry.listing import list_versions
from registry.production import reconcile
from registry.promote import promote
from registry.pull import pull_all
from registry.rollback import rollback
from tests.conftest import Workplace

pytestmark = pytest.mark.filterwarnings("ignore:.*transition_model_version_stage:FutureWarning")


@pytest.fixture
def shared(promoted: Workplace) -> Workplace:
    """Models that slipway did not train, in addition to tiny; their alias and stage disagree."""
    client = client_of(promoted)
    run = client.create_run("0")
    for name in ("credit-scores", "o'brien's", "other team prod"):
        client.create_registered_model(name)
        for _ in range(2):
            client.create_model_version(name, "nowhere", run.info.run_id)
    client.set_registered_model_alias("credit-scores", "production", "1")
    client.transition_model_version_stage("credit-scores", "2", "Production")
    client.transition_model_version_stage("other team prod", "1", "Production")
    client.create_registered_model("empty")
    client.set_terminated(run.info.run_id)
    return promoted


def client_of(workplace: Workplace) -> MlflowClient:
    uri = workplace.store.tracking_uri
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def everything_of_others(workplace: Workplace) -> str:
    """All that MLflow knows of the models that are not tiny, change times and all."""
    client = client_of(workplace)
    models: list[Any] = [m for m in client.search_registered_models() if m.name != "tiny"]
    found = [v for v in client.search_model_versions() if v.name != "tiny"]
    return json.dumps([dict(each) for each in (*models, *found)], default=dict, sort_keys=True)


def test_pulling_and_listing_leave_the_models_of_others_alone(shared: Workplace) -> None:
    before = everything_of_others(shared)
    result = pull_all(shared.store, shared.layout)
    listed = list_versions(shared.store)
    problems = examine(shared.store, shared.layout)

    assert [pointer.name for pointer in result.pulled] == ["tiny"]
    assert (result.refused, result.removed, problems) == ((), (), [])
    assert [(v.name, v.version) for v in listed if v.is_production] == [
        ("credit-scores", 1),
        ("other team prod", 1),
        ("tiny", 1),
    ]
    assert everything_of_others(shared) == before


def test_a_model_of_others_is_neither_promoted_nor_rolled_back(shared: Workplace) -> None:
    before = everything_of_others(shared)
    with pytest.raises(NotRegistered, match="expected a version made by slipway train"):
        promote(shared.store, "credit-scores", 2, actor="ada")
    with pytest.raises(NotRegistered, match="expected a version made by slipway train"):
        rollback(shared.store, "credit-scores", to=2, actor="ada")

    assert reconcile(shared.store, "credit-scores") == 1
    assert history(shared.store, "credit-scores") == []
    assert everything_of_others(shared) == before


def test_a_version_of_others_in_a_model_of_ours_is_refused(shared: Workplace) -> None:
    client = client_of(shared)
    run_id = shared.store.versions.get("tiny", 1).run_id
    pull_all(shared.store, shared.layout)
    version = client.create_model_version("tiny", "nowhere", run_id).version
    client.set_registered_model_alias("tiny", "production", version)
    pointer = shared.layout.pointer("tiny").read_bytes()

    with pytest.raises(CorruptModel, match=r"expected the tag slipway\.digest, got none"):
        pull_all(shared.store, shared.layout)
    assert shared.layout.pointer("tiny").read_bytes() == pointer
