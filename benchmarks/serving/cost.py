"""What validation, metrics and the traffic log cost together, and each alone."""

import sys
from collections.abc import Mapping, Sequence

from benchmarks.serving.bar import Bar, at_most
from benchmarks.serving.compare import Field, measure_server, medians
from benchmarks.serving.cpu_breakdown import steps_us
from benchmarks.serving.edge_parts import BARE, VARIANTS, WHOLE
from benchmarks.serving.peer import Setting, Slipway
from benchmarks.serving.scenario import SCENARIOS
from slipway import output

ROUNDS = 3
MOST_PERCENT = 35.0


class Variant(Slipway):
    """Our edge under bare uvicorn, as `name` says."""

    ready_path = "/ready"

    def __init__(self, name: str) -> None:
        self.name = name

    def command(self, setting: Setting, port: int) -> Sequence[str]:
        """Its script."""
        del setting
        return [sys.executable, "-m", "benchmarks.serving.bare_edge", self.name, str(port)]

    def environ(self, setting: Setting, port: int) -> Mapping[str, str]:
        """The workplace's; keys are off, as `bentoml serve` has them on a loopback address."""
        return {**super().environ(setting, port), "SLIPWAY_SERVICE_KEYS": "off"}


def measure(field: Field, us: Slipway, setting: Setting) -> tuple[dict[str, object], list[Bar]]:
    """The figures and bars, of rounds that are interleaved."""
    scenario = next(s for s in SCENARIOS if s.name == "one-32")
    contenders = [us, *map(Variant, VARIANTS)]
    found = [
        m
        for number in range(1, ROUNDS + 1)
        for one in contenders
        for m in measure_server(field, one, setting, [scenario], number)
    ]
    cpu = {m.peer: m.cpu_us for m in medians(found)}
    percent = 100 * (cpu[WHOLE] / cpu[BARE] - 1)
    saved = {name: cpu[WHOLE] - cpu[name] for name in VARIANTS if name != WHOLE}
    steps = steps_us(field.place, setting.folder)
    for step, spent in {
        **steps,
        "the rest of a request": cpu[us.name] - sum(steps.values()),
    }.items():
        output.say(f"{spent:6.2f} us  {step}")
    figures: dict[str, object] = {
        "cpu_us": cpu,
        "saved_us": saved,
        "steps_us": steps,
        "rounds": found,
    }
    what = "validation, metrics and traffic log: CPU over the path without them"
    return figures, [at_most(what, MOST_PERCENT, percent, " %")]
