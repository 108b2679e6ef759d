"""How results look in a table: for each kind of result its columns, and a row of it."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contracts.decision import Check
    from contracts.experiment import Stratum, VariantResult
    from contracts.replay import Example, Flips, Replay
    from contracts.verdict import Finding, Verdict
    from monitoring.explanation.shapley import Contribution
    from registry.history import Event
    from registry.listing import VersionInfo
    from services.auth.keys import Key
    from slipway.load_client import LoadResult
    from slipway.model_state import ModelState
    from training.dry_run import TriedRecipe
    from training.run import TrainedVersion

Row = tuple[Any, ...]

TRAINED_COLUMNS = ("model", "runtime", "metric", "value", "95 % interval", "parity", "gates")
TRIED_COLUMNS = ("model", "learned", "held out", "metric", "value", "baseline", "parity", "seconds")
VERSION_COLUMNS = (
    "model", "version", "production", "aliases", "stage", "runtime", "created", "run",
)  # fmt: skip
EVENT_COLUMNS = ("when", "kind", "from", "to", "who", "decision", "why")
STATE_COLUMNS = ("model", "production", "runtime", "pointed at", "answers", "refused")
ROLES_COLUMNS = ("model", "challenger", "wanted", "shadow", "canary")
LOAD_COLUMNS = ("model", "requests", "failed", "requests/s", "p50 ms", "p99 ms")
FINDING_COLUMNS = ("column", "rows", "p-value", "effect", "size", "limit", "drifted")
WINDOW_COLUMNS = ("model", "traffic", "failed", "verdict", "drifted")
FLIP_COLUMNS = ("where", "rows", "flips", "share", "95 %", "mean shift")
EXAMPLE_COLUMNS = ("prediction", "answered", "replayed", "features")
RATIO_COLUMNS = ("weight", "challenger's share", "challenger", "production")
CHECK_COLUMNS = ("check", "path", "passed", "expected", "got")
CONTRIBUTION_COLUMNS = ("feature", "value", "contribution", "standard error")
KEY_COLUMNS = ("id", "name", "scopes", "rate", "created", "expires", "state")
SPLIT_COLUMNS = ("role", "version", "share")
SCHEMA_COLUMNS = ("command", "prints")

MAX_DRIFTED_COLUMNS = 2
"""Columns that drifted, named in one cell."""
MAX_FLIP_SEGMENTS = 15
"""Segments in the table of flips."""


def trained_row(trained: "TrainedVersion") -> Row:
    """A trained version by its first metric."""
    name, metric = next(iter(trained.metrics.items()))
    return (
        f"{trained.name} {trained.version}",
        trained.runtime,
        name,
        metric.value,
        f"{metric.low:.4g} .. {metric.high:.4g}",
        f"{trained.certificate.max_difference:.1e}",
        "passed" if all(gate.passed for gate in trained.gates) else "failed",
    )


def tried_row(tried: "TriedRecipe") -> Row:
    """A recipe that was tried on a sample, by its first metric."""
    name, metric = next(iter(tried.metrics.items()))
    return (
        tried.name,
        tried.n_train,
        tried.n_holdout,
        name,
        metric.value,
        tried.baseline[name],
        f"{tried.certificate.max_difference:.1e}",
        round(tried.seconds, 1),
    )


def version_row(info: "VersionInfo") -> Row:
    """A registered version."""
    return (
        info.name,
        info.version,
        "yes" if info.is_production else "",
        ", ".join(info.aliases),
        info.stage,
        info.runtime,
        info.created_at,
        info.run_id,
    )


def event_row(event: "Event") -> Row:
    """A change of a model's Production version."""
    versions = (event.from_version, event.to_version)
    kind = event.kind.replace("_", " ")
    return (event.when[:19], kind, *versions, event.who, event.decision, event.why)


def state_row(state: "ModelState") -> Row:
    """A model: what is Production, what is pointed at, what answers."""
    return (
        state.name,
        state.production,
        state.runtime,
        state.pointed,
        state.answers,
        state.refused,
    )


def roles_row(state: "ModelState") -> Row:
    """A model's other roles: challenger, shadow, canary."""
    return (state.name, state.challenger, state.wanted, state.shadow, state.canary)


def load_row(model: str, result: "LoadResult") -> Row:
    """What a load client measured."""
    return (
        model,
        result.requests,
        result.errors,
        result.requests_per_s,
        result.p50_ms,
        result.p99_ms,
    )


def finding_row(finding: "Finding") -> Row:
    """A column of a window compared with its reference."""
    return (
        finding.column,
        finding.n,
        f"{finding.p_value:.1g}",
        finding.effect.split("_")[0],
        f"{finding.effect_size:.3f}",
        f"{finding.effect_threshold:.3f}",
        "drifted" if finding.drifted else "",
    )


def window_row(model: str, traffic: str, failed: int, verdict: "Verdict") -> Row:
    """A judged window of simulated traffic."""
    drifted = [finding.column for finding in verdict.findings if finding.drifted]
    more = (
        f" and {len(drifted) - MAX_DRIFTED_COLUMNS} more"
        if len(drifted) > MAX_DRIFTED_COLUMNS
        else ""
    )
    named = ", ".join(drifted[:MAX_DRIFTED_COLUMNS]) + more
    return (f"{model} {verdict.version}", traffic, failed, verdict.decision, named or "-")


def flip_rows(replay: "Replay") -> list[Row]:
    """The flips of a replay: over all rows, by who answered, by segment."""
    rows = [_flip_row("all rows", replay.flips, replay.shift.mean)]
    for group in replay.groups:
        where = f"version {group.version}, {group.variant}"
        rows.append(_flip_row(where, group.flips, group.mean_shift))
    changed = [s for s in replay.segments if s.flips.flips or s.mean_shift][:MAX_FLIP_SEGMENTS]
    return rows + [_flip_row(f"{s.segment} = {s.value}", s.flips, s.mean_shift) for s in changed]


def _flip_row(where: str, flips: "Flips", mean_shift: float) -> Row:
    interval = f"{flips.low:.2%} to {flips.high:.2%}"
    return (where, flips.rows, flips.flips, f"{flips.share:.2%}", interval, mean_shift)


def example_row(example: "Example") -> Row:
    """A logged prediction and what the version answers instead."""
    answers = (
        a.prediction if isinstance(a.prediction, float) else f"{a.prediction} {a.score:.4f}"
        for a in (example.answered, example.replayed)
    )
    features = ", ".join(f"{k}={v}" for k, v in example.features.items() if v is not None)
    return (example.prediction_id, *answers, features)


def variant_columns(metric: str) -> tuple[str, ...]:
    """The columns of `variant_row`, with the metric by its name."""
    return ("version", "variant", "rows", "units", "labels", metric, "95 %, one look")


def variant_row(result: "VariantResult") -> Row:
    """The labelled answers of one variant in an A/B analysis."""
    interval = "-" if result.low is None else f"{result.low:.4g} to {result.high:.4g}"
    value = "-" if result.value is None else f"{result.value:.4g}"
    counts = (result.rows, result.units, result.labels)
    return (result.version, result.variant, *counts, value, interval)


def stratum_row(stratum: "Stratum") -> Row:
    """The units that met each variant while one weight was in force."""
    challenger, production = stratum.challenger, stratum.production
    share = f"{challenger / max(challenger + production, 1):.2%}"
    weight = f"{stratum.weight:.2%}" if stratum.weight else "not logged"
    return (weight, share, challenger, production)


def check_row(check: "Check") -> Row:
    """A check of a promotion's decision."""
    passed = "yes" if check.passed else "no"
    return (
        check.subject,
        check.path,
        passed if check.judged else "not judged",
        check.expected,
        check.got,
    )


def contribution_row(contribution: "Contribution") -> Row:
    """A feature's part of a score."""
    return (
        contribution.feature,
        contribution.value,
        f"{contribution.contribution:+.6f}",
        contribution.error,
    )


def key_row(key: "Key") -> Row:
    """An API key, without its secret."""
    state = "valid" if key.is_valid(datetime.now(UTC)) else "expired"
    return (
        key.id,
        key.name,
        ", ".join(key.scopes),
        key.rate or "no limit",
        key.created_at,
        key.expires_at or "never",
        "revoked" if key.revoked_at else state,
    )
