"""Carry out a canary: start it, move its weight, end it, and record what was decided.

Every action follows from two tags of the model (`slipway.challenger`, what people want, and
`slipway.canary`, where the canary is) and from the evidence that the service counts. So a
follower that is killed at any point continues where it was.
"""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime

from msgspec.structs import replace

from contracts.canary import Canary, CanaryEvidence
from contracts.decision import Decision
from contracts.errors import GateRefused, InvalidDocument
from contracts.files import write_whole
from contracts.manifest import Pointer
from contracts.names import DECISION_FOLDER, PRODUCTION, TAG_CANARY, TAG_CHALLENGER_SPLIT, Layout
from contracts.times import parse_utc, utc_text
from registry.canary import decide_step
from registry.gate import Comparison
from registry.mlflow_store.models import StoredModel
from registry.promote import promote
from registry.split_spec import OFF, SplitSpec
from registry.store import Store

logger = logging.getLogger("slipway.follow")

ACTOR = "canary"
MAX_SENTENCE_CHARS = 1000


@dataclass
class Rollout:
    """The canaries of all models; each step lasts at least `hold_s` seconds."""

    layout: Layout
    hold_s: float

    def finish_ended(self, store: Store, model: StoredModel, spec: SplitSpec | None) -> bool:
        """Close a canary that has ended; returns whether anything was done.

        Raises:
            RegistryUnreachable: the tracking server or its artifact store does not answer.

        """
        canary = canary_of(model)
        if canary is None or canary.is_closed:
            return False
        if canary.status == "running":
            if spec is None or spec.steps:
                return False
            sentence = "stopped: a different share was set"
            self._save(store, replace(canary, status="stopped", sentence=sentence, is_closed=True))
            return True
        self._close(store, canary)
        return True

    def advance(
        self,
        store: Store,
        model: StoredModel,
        spec: SplitSpec,
        production: Pointer,
        challenger: Pointer,
    ) -> tuple[float, str]:
        """Take the canary as far as its evidence allows; returns its weight and its id.

        It starts one where none is running. One that was aborted has the weight 0 and no id.
        One that has just been completed keeps its weight until its version is served as
        production: without that, its users would briefly get the old version.
        """
        canary = canary_of(model)
        if canary is None or canary.is_closed or not _is_for(canary, spec, production, challenger):
            if canary is not None and not canary.is_closed:
                self._save(store, replace(canary, status="stopped", is_closed=True))
            canary = _new(model.name, spec, production, challenger)
            self._save(store, canary)
            logger.info("%s: the canary of version %d starts", model.name, challenger.version)
        canary = self._decide(store, canary)
        if canary.status != "running" and self._close(store, canary).status != "completed":
            return 0.0, ""
        return canary.weights[canary.step], canary.began

    def _decide(self, store: Store, canary: Canary) -> Canary:
        """Decide on the present step; a decision other than to wait is recorded first."""
        evidence = self._read_evidence(canary)
        now = datetime.now(UTC)
        held_s = (now - parse_utc(canary.step_began)).total_seconds()
        decision = decide_step(canary, evidence, held_s=held_s, hold_s=self.hold_s)
        if decision.action == "wait":
            return canary
        canary = replace(canary, sentence=decision.sentence, checks=decision.checks)
        if decision.action == "advance":
            canary = replace(
                canary,
                step=canary.step + 1,
                step_began=utc_text(now),
                seen_before=evidence.seen,
                requests_before=evidence.requests,
                compared_before=evidence.compared,
            )
        else:
            ends = {"abort": "aborted", "complete": "completed"}
            canary = replace(canary, status=ends[decision.action])
        self._save(store, canary)
        name, version = canary.model, canary.challenger_version
        logger.info("%s: canary of version %d: %s", name, version, canary.sentence)
        return canary

    def _close(self, store: Store, canary: Canary) -> Canary:
        """Do what follows from a canary's end; doing it twice changes nothing more."""
        if canary.status == "completed":
            canary = self._promote(store, canary)
        store.models.set_tag(canary.model, TAG_CHALLENGER_SPLIT, OFF)
        canary = replace(canary, is_closed=True)
        self._save(store, canary)
        return canary

    def _promote(self, store: Store, canary: Canary) -> Canary:
        """Make the challenger production; the decision contains the canary's checks."""

        def compare(_challenger: int, _production: int) -> Comparison:
            return Comparison(canary.checks)

        def keep(decision: Decision) -> None:
            name = f"{decision.decision_id}.json"
            files = {name: decision.write_pretty()}
            store.artifacts.upload(decision.run_id, DECISION_FOLDER, files)

        aliases = store.models.get(canary.model).aliases
        if aliases.get(PRODUCTION) not in {canary.production_version, canary.challenger_version}:
            return replace(canary, status="stopped", sentence="stopped: production was moved")
        try:
            promotion = promote(
                store,
                canary.model,
                canary.challenger_version,
                actor=ACTOR,
                because=f"canary {canary.began}: {canary.sentence}",
                compare=compare,
                keep=keep,
            )
        except GateRefused as err:
            logger.error("canary of %s: %s", canary.model, err)  # noqa: TRY400 - a traceback adds nothing
            return replace(canary, status="refused", sentence=err.what[:MAX_SENTENCE_CHARS])
        logger.info("%s", promotion.sentence)
        return canary

    def _read_evidence(self, canary: Canary) -> CanaryEvidence:
        """What the service has counted for this canary; zeros if it has not begun to count."""
        path = self.layout.evidence(canary.model)
        try:
            evidence = CanaryEvidence.read(path.read_bytes(), str(path))
        except FileNotFoundError:
            evidence = None
        if evidence is not None and evidence.canary == canary.began:
            return evidence
        return CanaryEvidence(canary=canary.began)

    def _save(self, store: Store, canary: Canary) -> None:
        """Write a canary to its file, for people, and then to the registry, which decides."""
        name = canary.began.replace(":", "").replace(".", "")
        path = self.layout.canaries(canary.model) / f"{name}.json"
        write_whole(path, canary.write_pretty())
        store.models.set_tag(canary.model, TAG_CANARY, canary.write().decode())


def canary_of(model: StoredModel) -> Canary | None:
    """A model's last canary; None if there was none, or its tag cannot be read (logged)."""
    text = model.tags.get(TAG_CANARY)
    try:
        return None if text is None else Canary.read(text.encode(), f"tag {TAG_CANARY}")
    except InvalidDocument as err:
        logger.error("%s of %s: %s", TAG_CANARY, model.name, err)  # noqa: TRY400 - a traceback adds nothing
        return None


def _is_for(canary: Canary, spec: SplitSpec, production: Pointer, challenger: Pointer) -> bool:
    """Whether a canary is the one that people want of these versions."""
    return (
        canary.challenger_digest == challenger.digest
        and canary.production_version == production.version
        and canary.weights == _served_weights(spec.steps)
        and canary.requests_per_step == spec.requests_per_step
    )


def _new(name: str, spec: SplitSpec, production: Pointer, challenger: Pointer) -> Canary:
    now = utc_text(datetime.now(UTC))
    return Canary(
        model=name,
        challenger_version=challenger.version,
        challenger_digest=challenger.digest,
        production_version=production.version,
        weights=_served_weights(spec.steps),
        requests_per_step=spec.requests_per_step,
        began=now,
        step_began=now,
    )


def _served_weights(steps: tuple[float, ...]) -> tuple[float, ...]:
    """The weights that are served: 100 % as the last step means to promote, not to serve."""
    return steps[:-1] if len(steps) > 1 and steps[-1] >= 1.0 else steps
