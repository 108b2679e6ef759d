"""The verdict on a window of traffic: everything a person sees is drawn from it."""

from typing import Literal

import msgspec

from contracts.documents import Document

Decision = Literal["stable", "drift", "quality", "too_few_rows", "no_traffic", "unreadable"]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One column against its reference.

    `column` is a feature's name, or `prediction`, or `score`. `p_value` is already
    corrected for the number of columns (Bonferroni). `statistics` holds the effect sizes by
    name: `ks`, `psi`, `jensen_shannon`, `total_variation`, `wasserstein_normed`.
    `drifted` means significance AND effect; `effect` is the one that decided, and
    `effect_threshold` what it was held against.
    """

    column: str
    kind: Literal["number", "category"]
    n: int
    p_value: float
    test: str
    statistics: dict[str, float]
    effect: str
    effect_size: float
    effect_threshold: float
    drifted: bool


class QualityFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A fault of the data itself.

    `share` is the share of rows concerned, `reference_share` the same at training;
    `detail` says it in words.
    """

    column: str
    fault: Literal["missing", "unseen", "out_of_range", "constant", "vanished", "torn_lines"]
    share: float
    reference_share: float
    p_value: float
    detail: str


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Which traffic was judged: `start <= time < end`, both UTC in RFC 3339."""

    start: str
    end: str
    rows: int
    files: int
    torn_lines: int
    other_versions: int = 0


class Verdict(Document, frozen=True, kw_only=True):
    """What was found in a window of one version's traffic, and what it means.

    `verdict_id` is derived from model, version and window, so that judging the same window
    again replaces the same files. `sentence` is the verdict in one plain sentence.
    """

    verdict_id: str
    model: str
    version: int
    run_id: str
    made_at: str
    window: Window
    decision: Decision
    sentence: str
    findings: tuple[Finding, ...] = ()
    quality: tuple[QualityFinding, ...] = ()
    manifest_digest: str
    report: str = ""
