"""Carry a canary: begin it, move its weight, end it, and record what was decided.

Whatever is done follows from two tags of the model (`slipway.challenger`, what people want;
`slipway.canary`, where it stands) and from the evidence that the service counts, so a follower
that is killed at any moment goes on where it was.
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
from contracts.names import TAG_CANARY, TAG_CHALLENGER_SPLIT, Layout
from registry.canary import decide
from registry.gate import Comparison
from registry.mlflow_store.models import StoredModel
from registry.promote import promote
from registry.split_spec import OFF, Wish
from registry.store import Store

logger = logging.getLogger("slipway.follow")

ACTOR = "canary"
FOLDER = "decision"


@dataclass
class Rollout:
    """Canaries of all models; `hold_s`: how long each step lasts at least."""

    layout: Layout
    hold_s: float

    def settle(self, store: Store, model: StoredModel, wish: Wish | None) -> bool:
        """End what has ended and is not closed yet; whether anything was done.

        Raises:
            RegistryUnreachable: the tracking server or its artifact store does not answer.

        """
        canary = canary_of(model)
        if canary is None or canary.is_closed:
            return False
        if canary.status == "running":
            if wish is None or wish.steps:
                return False
            canary = replace(canary, status="stopped", sentence="stopped: another share was set")
            self._save(store, replace(canary, is_closed=True))
            return True
        self._close(store, canary)
        return True

    def weight(
        self, store: Store, model: StoredModel, wish: Wish, production: Pointer, challenger: Pointer
    ) -> tuple[float, str]:
        """The weight that a canary has now, and its name; nothing for one that was taken back.

        One that has just been completed keeps its weight until its version is served as
        production: else its users would meet the old one for a moment.
        """
        canary = canary_of(model)
        if canary is None or canary.is_closed or not _is_of(canary, wish, production, challenger):
            if canary is not None and not canary.is_closed:
                self._save(store, replace(canary, status="stopped", is_closed=True))
            canary = _new(model.name, wish, production, challenger)
            self._save(store, canary)
            logger.info("canary of %s version %d begins", model.name, challenger.version)
        canary = self._moved(store, canary)
        if canary.status != "running" and self._close(store, canary).status != "completed":
            return 0.0, ""
        return canary.weights[canary.step], canary.began

    def _moved(self, store: Store, canary: Canary) -> Canary:
        """The canary after this look; where something was decided, it is recorded first."""
        evidence = self._evidence(canary)
        held_s = (_now() - datetime.fromisoformat(canary.step_began)).total_seconds()
        decision = decide(canary, evidence, held_s=held_s, hold_s=self.hold_s)
        if decision.action == "wait":
            return canary
        canary = replace(canary, sentence=decision.sentence, checks=decision.checks)
        if decision.action == "advance":
            canary = replace(
                canary,
                step=canary.step + 1,
                step_began=_text(_now()),
                seen_before=evidence.seen,
                requests_before=evidence.requests,
                compared_before=evidence.compared,
            )
        else:
            ends = {"abort": "aborted", "complete": "completed"}
            canary = replace(canary, status=ends[decision.action])
        self._save(store, canary)
        name, version = canary.model, canary.challenger_version
        logger.info("canary of %s version %d: %s", name, version, canary.sentence)
        return canary

    def _close(self, store: Store, canary: Canary) -> Canary:
        """Do what follows from a canary's end; done twice, it does no more."""
        if canary.status == "completed":
            canary = self._promoted(store, canary)
        store.models.set_tag(canary.model, TAG_CHALLENGER_SPLIT, OFF)
        canary = replace(canary, is_closed=True)
        self._save(store, canary)
        return canary

    def _promoted(self, store: Store, canary: Canary) -> Canary:
        """Make the challenger Production; the canary's checks stand in the decision on it."""

        def seen(_challenger: int, _production: int) -> Comparison:
            return Comparison(canary.checks)

        def keep(decision: Decision) -> None:
            name = f"{decision.decision_id}.json"
            store.artifacts.upload(decision.run_id, FOLDER, {name: decision.write_pretty()})

        aliases = store.models.get(canary.model).aliases
        if aliases.get("production") not in {canary.production_version, canary.challenger_version}:
            return replace(canary, status="stopped", sentence="stopped: production was moved")
        try:
            promotion = promote(
                store,
                canary.model,
                canary.challenger_version,
                actor=ACTOR,
                because=f"canary {canary.began}: {canary.sentence}",
                compare=seen,
                keep=keep,
            )
        except GateRefused as err:
            logger.error("canary of %s: %s", canary.model, err)  # noqa: TRY400 - the place is in the text
            return replace(canary, status="refused", sentence=err.what[:1000])
        logger.info("%s", promotion.sentence)
        return canary

    def _evidence(self, canary: Canary) -> CanaryEvidence:
        """What was counted for this canary; nothing if nobody has begun to count."""
        path = self.layout.evidence(canary.model)
        try:
            evidence = CanaryEvidence.read(path.read_bytes(), str(path))
        except FileNotFoundError:
            evidence = None
        return evidence if evidence and evidence.canary == canary.began else _nothing(canary)

    def _save(self, store: Store, canary: Canary) -> None:
        """Beside the model directories for people, then in the registry, which counts."""
        name = canary.began.replace(":", "").replace(".", "")
        path = self.layout.canaries(canary.model) / f"{name}.json"
        write_whole(path, canary.write_pretty())
        store.models.set_tag(canary.model, TAG_CANARY, canary.write().decode())


def canary_of(model: StoredModel) -> Canary | None:
    """Where a model's canary stands; None if there was none, or the tag is not one of ours."""
    text = model.tags.get(TAG_CANARY)
    try:
        return None if text is None else Canary.read(text.encode(), f"tag {TAG_CANARY}")
    except InvalidDocument as err:
        logger.error("%s of %s: %s", TAG_CANARY, model.name, err)  # noqa: TRY400 - the same
        return None


def _is_of(canary: Canary, wish: Wish, production: Pointer, challenger: Pointer) -> bool:
    return (
        canary.challenger_digest,
        canary.production_version,
        canary.weights,
        canary.requests_per_step,
    ) == (
        challenger.digest,
        production.version,
        _served(wish.steps),
        wish.each,
    )


def _new(name: str, wish: Wish, production: Pointer, challenger: Pointer) -> Canary:
    moment = _text(_now())
    return Canary(
        model=name,
        challenger_version=challenger.version,
        challenger_digest=challenger.digest,
        production_version=production.version,
        weights=_served(wish.steps),
        requests_per_step=wish.each,
        began=moment,
        step_began=moment,
    )


def _served(steps: tuple[float, ...]) -> tuple[float, ...]:
    """The weights that are served: 100 % at the end means to promote, not to serve."""
    return steps[:-1] if len(steps) > 1 and steps[-1] >= 1.0 else steps


def _nothing(canary: Canary) -> CanaryEvidence:
    return CanaryEvidence(canary=canary.began)


def _now() -> datetime:
    return datetime.now(UTC)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
