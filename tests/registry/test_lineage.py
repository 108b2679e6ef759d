"""How a version came into production, as it was at the time."""

import re
from pathlib import Path

from typer.testing import CliRunner

from contracts.decision import Decision
from registry.history import history
from registry.lineage import lineage
from registry.promote import promote
from registry.rollback import rollback
from slipway.app import app
from tests.conftest import Workplace
from training.evaluation.decision_log import log_decision


def promoted(workplace: Workplace, version: int, because: str) -> Decision:
    """Promote as the command does, with force: retrained versions are ties."""
    done = promote(
        workplace.store, "tiny", version, actor="ada", because=because, force=True,
        keep=lambda decision: log_decision(workplace.store, decision),
    )  # fmt: skip
    assert done.decision is not None
    return done.decision


def test_the_promotion_in_force_at_the_time_is_returned(trained: Workplace) -> None:
    first = promoted(trained, 1, "the first")
    promoted(trained, 2, "the second")
    again = rollback(trained.store, "tiny", actor="bob", because="it was worse")
    events = history(trained.store, "tiny")
    then = lineage(trained.store, "tiny", 1, at=events[1].when)
    now = lineage(trained.store, "tiny", 1)

    assert again.to_version == 1
    assert (then.promoted_by, then.because, then.promoted_how) == ("ada", "the first", "promoted")
    assert then.decision == f"decision/{first.decision_id}.json"
    assert then.decision_sentence == first.sentence
    assert then.checks == first.checks
    assert (now.promoted_by, now.promoted_how, now.decision) == ("bob", "rolled_back", "")
    # A slow clock: no event is before that time, so the first promotion counts.
    assert lineage(trained.store, "tiny", 1, at="2020-01-01T00:00:00Z").because == "the first"


def test_a_version_that_was_never_production_has_its_own_checks(trained: Workplace) -> None:
    found = lineage(trained.store, "tiny", 3)

    assert (found.promoted_at, found.promoted_how, found.decision) == ("", "", "")
    assert {check.subject for check in found.checks} == {"parity", "gate"}
    assert all(check.passed for check in found.checks)


def test_a_decision_whose_document_is_gone_leaves_the_version_its_own_checks(
    trained: Workplace,
) -> None:
    decision = promoted(trained, 1, "the first")
    for path in trained.root.glob(f"mlruns/**/decision/{decision.decision_id}.json"):
        path.unlink()
    found = lineage(trained.store, "tiny", 1)

    assert found.decision.endswith(f"{decision.decision_id}.json")
    assert found.decision_sentence == ""
    assert {check.subject for check in found.checks} == {"parity", "gate"}


def test_history_names_decisions_and_marks_rollbacks(trained: Workplace) -> None:
    decision = promoted(trained, 1, "the first")
    promoted(trained, 2, "the second")
    rollback(trained.store, "tiny", actor="bob", because="it was worse")
    printed = CliRunner().invoke(app, ["history", "tiny"], env={"COLUMNS": "200"}).output

    events = history(trained.store, "tiny")
    assert events[0].decision == decision.decision_id
    assert events[-1].decision == ""
    (page,) = re.findall(
        rf"version 1, every check: (.*{decision.decision_id}\.html)$", printed, re.MULTILINE
    )
    assert "the first" in Path(page).read_text()
    assert "rolled back" in printed
    assert "it was worse" in printed
