"""The load: which model, how many rows per request, over how many connections, which heads."""

from dataclasses import dataclass
from typing import Literal

Heads = Literal["constant", "real"]
"""`constant`: every request has the same head, to the byte. `real`: each has its own, with the
headers that traced clients behind a load balancer send."""


@dataclass(frozen=True)
class Scenario:
    """One kind of load."""

    name: str
    model: str
    connections: int
    batch: bool
    about: str
    heads: Heads = "constant"


SCENARIOS = (
    Scenario("one-1", "loan", 1, batch=False, about="one row, logistic regression, 1 connection"),
    Scenario("one-32", "loan", 32, batch=False, about="one row, 32 connections"),
    Scenario(
        "real-32",
        "loan",
        32,
        batch=False,
        about="one row, 32 connections, real heads",
        heads="real",
    ),
    Scenario("one-128", "loan", 128, batch=False, about="one row, 128 connections"),
    Scenario("batch-8", "loan", 8, batch=True, about="100 rows per request, 8 connections"),
    Scenario("forest-32", "diabetes", 32, batch=False, about="one row, 100 trees, 32 connections"),
)
