"""The gate's check on a replay: how many decisions change."""

from contracts.decision import Check
from contracts.errors import InvalidData
from contracts.replay import Replay
from metrics.interval import wilson


def flips_check(replay: Replay, max_share: float | None) -> Check:
    """Whether at most a share of the replayed rows would be decided differently.

    A row that would be refused is decided differently, too. The upper end of the share's 95 %
    interval must not exceed `max_share`: few rows prove little. Without `max_share` the check
    is only reported. No traffic at all proves nothing, and does not pass.

    Raises:
        InvalidData: `max_share` for a regression, which makes no decisions.

    """
    if max_share is not None and replay.task == "regression":
        raise InvalidData(
            f"--max-flips: expected a classifier, got {replay.model}, a regression",
            remedy="leave it out; --replay alone reports by how much the answers shift",
        )
    changed, rows = replay.flips.flips + replay.refused, replay.replayed + replay.refused
    high = wilson(changed, rows)[1]
    expected = "" if max_share is None else f"at most {max_share:.2%} decided differently"
    got = f"{changed:,} of {rows:,} ({changed / max(rows, 1):.2%}, up to {high:.2%})"
    if replay.task == "regression":
        got = f"shifts of {replay.shift.mean:+.4g} on average, {replay.shift.extreme:+.4g} at most"
    if not rows:
        got = f"no traffic of version {replay.answered_by} to replay"
    outcome = f"expected {expected}, got {got}" if expected else got
    return Check(
        subject="replay",
        path="flips",
        expected=expected,
        got=f"{got}; see {replay.replay_id}",
        passed=max_share is None or (rows > 0 and high <= max_share),
        judged=max_share is not None,
        sentence=f"replay of {replay.window.start[:16]} to {replay.window.end[:16]}: {outcome}",
    )
