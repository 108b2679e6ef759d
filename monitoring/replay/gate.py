"""What a replay says to the gate: one check, a judgement on a document."""

from contracts.decision import Check
from contracts.errors import InvalidData
from contracts.replay import Replay
from metrics.interval import wilson


def flips_check(replay: Replay, most: float | None) -> Check:
    """Whether at most the share `most` of the replayed requests would be decided otherwise.

    A request that would be refused is decided otherwise, too. The upper end of the share's
    95 % interval must not pass `most`: few rows prove little. Without `most` the check is
    told and decides nothing. No traffic at all proves nothing, and does not pass.

    Raises:
        InvalidData: `most` for a regression, which decides nothing.

    """
    if most is not None and replay.task == "regression":
        raise InvalidData(
            f"--max-flips: expected a classifier, got {replay.model}, a regression",
            remedy="leave it out; --replay alone tells by how much the answers shift",
        )
    changed, rows = replay.flips.flips + replay.refused, replay.replayed + replay.refused
    high = wilson(changed, rows)[1]
    expected = "" if most is None else f"at most {most:.2%} decided otherwise"
    got = f"{changed:,} of {rows:,} ({changed / max(rows, 1):.2%}, up to {high:.2%})"
    if replay.task == "regression":
        got = f"shifts of {replay.shift.mean:+.4g} on average, {replay.shift.extreme:+.4g} at most"
    if not rows:
        got = f"no traffic of version {replay.answered_by} to replay"
    told = f"expected {expected}, got {got}" if expected else got
    return Check(
        subject="replay",
        path="flips",
        expected=expected,
        got=f"{got}; see {replay.replay_id}",
        passed=most is None or (rows > 0 and high <= most),
        judged=most is not None,
        sentence=f"replay of {replay.window.start[:16]} to {replay.window.end[:16]}: {told}",
    )
