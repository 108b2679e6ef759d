"""Gaps in time: long parts of a window without any row."""

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from contracts.verdict import QualityFinding, Verdict
from monitoring.drift.histograms import WindowHistograms
from monitoring.traffic.window import TimeWindow

PARTS = 24
MIN_GAP_PARTS = 3
COMPARED_WINDOWS = 7
MIN_FILLED_WINDOWS = 3


def row_profile(histograms: WindowHistograms, window: TimeWindow) -> tuple[int, ...]:
    """The rows in each of 24 equal parts of the window."""
    length_us = (window.end - window.start).total_seconds() * 1e6 / PARTS
    middles = histograms.timeline.middles() - window.start.timestamp() * 1e6
    parts = np.clip(middles // max(length_us, 1.0), 0, PARTS - 1).astype(np.int64)
    rows = np.bincount(parts, weights=histograms.rows_by_time_bin, minlength=PARTS)
    return tuple(int(n) for n in rows)


def time_gaps(
    profile: Sequence[int], rows: int, earlier: Sequence[Verdict]
) -> list[QualityFinding]:
    """The longest gap between rows, if it is an eighth of the window or more.

    It alarms only where all of the last seven windows, and at least three, had rows in those
    parts: some models have no traffic at night, and a first window cannot know.

    Args:
        profile: the rows in each part of the window, as `row_profile` gives them.
        rows: the window's rows.
        earlier: verdicts on earlier windows of the version.

    """
    filled = [i for i, n in enumerate(profile) if n]
    gaps = [(a, b) for a, b in pairwise(filled) if b - a - 1 >= MIN_GAP_PARTS]
    if not gaps:
        return []
    first, last = max(gaps, key=lambda gap: gap[1] - gap[0])
    length = last - first - 1
    known = [v.profile for v in earlier if len(v.profile) == len(profile) and any(v.profile)]
    compared = known[-COMPARED_WINDOWS:]
    usual = [p for p in compared if min(p[first + 1 : last]) > 0]
    expected = rows * length / max(len(filled), 1)
    return [
        QualityFinding(
            column="time",
            fault="time_gap",
            share=length / len(profile),
            reference_share=0.0,
            p_value=math.exp(-min(expected, 700)),
            detail=f"no row in parts {first + 2} to {last} of {len(profile)} of the window",
            alarming=len(usual) >= MIN_FILLED_WINDOWS and len(usual) == len(compared),
        )
    ]
