"""The comparison as a picture."""

from collections.abc import Sequence
from math import floor, log10
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.serving.compare import Measurement


def draw(medians: Sequence[Measurement], scenario: str, title: str, path: Path) -> None:
    """Requests a second of each peer in a scenario, as bars on a scale of powers of ten."""
    found = sorted((m for m in medians if m.scenario == scenario), key=lambda m: m.requests_per_s)
    # The same figures must make the same file.
    with mpl.rc_context({"svg.hashsalt": "slipway", "svg.fonttype": "none"}):
        figure = Figure(figsize=(7, 0.4 * len(found) + 1.1), layout="constrained")
        axes = figure.subplots()
        colours = ["#2563a8" if m.peer == "slipway" else "#b8bec6" for m in found]
        bars = axes.barh([m.peer for m in found], [m.requests_per_s for m in found], color=colours)
        axes.bar_label(bars, [f" {m.requests_per_s:,.0f}" for m in found])
        axes.set_xscale("log")
        slowest, fastest = found[0].requests_per_s, found[-1].requests_per_s
        axes.set_xlim(10 ** floor(log10(max(slowest, 1.0))), 3 * fastest)
        axes.set_xlabel("requests a second (logarithmic)")
        axes.set_title(title, loc="left", fontsize="medium")
        axes.spines[["top", "right"]].set_visible(False)
        figure.savefig(path, metadata={"Date": None})
