"""The deliveries of docs/tutorial.md: a file of past ones, and weeks of new ones.

    python -m examples.deliveries history data/deliveries.csv
    python -m examples.deliveries week data/week-1.csv

`history` writes past deliveries with the outcome. `week` plays the shop's own program: it asks the
service about each new order, and writes the outcomes to a file for `slipway labels`. With
`--bridge-closed` scooters and cars are stuck in a jam, and bicycles are not.
"""

import argparse
import csv
import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

PROMISED_MINUTES = 45.0
MINUTES_PER_KM = {"bike": 4.0, "scooter": 2.8, "car": 2.4}
JAM_MINUTES_PER_KM = {"bike": 2.4, "scooter": 4.4, "car": 6.5}
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FIRST_DAY = datetime(2026, 1, 5, tzinfo=UTC)
HISTORY_DAYS = 56
FAILED_SENSOR_SHARE = 0.03
REQUEST_ROWS = 250
REQUEST_TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Order:
    """What is known when an order comes in: the features of the model."""

    distance_km: float
    items: int
    waiting_orders: int
    vehicle: str
    weekday: str
    hour: int
    rain_mm: float | None


def random_order(rng: random.Random, day: datetime) -> Order:
    """An order of that day, somewhere between eleven and eleven."""
    hour = rng.choices(range(11, 23), weights=(2, 6, 7, 3, 2, 2, 4, 8, 9, 7, 4, 2))[0]
    rush = 9 if hour in {12, 13, 18, 19, 20} else 4
    rains = rng.random() < 0.3  # noqa: PLR2004 - three days in ten
    rain_mm = round(rng.expovariate(0.5), 1) if rains else 0.0
    return Order(
        distance_km=round(min(0.4 + rng.gammavariate(2.2, 1.6), 14.0), 2),
        items=min(1 + int(rng.expovariate(0.4)), 20),
        waiting_orders=min(int(rng.gammavariate(2.0, rush / 2)), 40),
        vehicle=rng.choices(tuple(MINUTES_PER_KM), weights=(4, 3, 3))[0],
        weekday=DAYS[day.weekday()],
        hour=hour,
        rain_mm=None if rng.random() < FAILED_SENSOR_SHARE else rain_mm,
    )


def is_late(order: Order, rng: random.Random, *, bridge_closed: bool = False) -> bool:
    """Whether the order took longer than promised: kitchen, road, weather, and chance."""
    pace = (JAM_MINUTES_PER_KM if bridge_closed else MINUTES_PER_KM)[order.vehicle]
    kitchen = 14.0 + 0.8 * order.items + 1.1 * order.waiting_orders
    wet = 1.5 * (order.rain_mm or 0.0) if order.vehicle != "car" else 0.0
    return kitchen + pace * order.distance_km + wet + rng.gauss(0.0, 4.0) > PROMISED_MINUTES


def past_deliveries(rows: int) -> Iterator[dict[str, Any]]:
    """The rows of the file: orders in the sequence of time, with their outcome."""
    rng = random.Random("history")
    days = (FIRST_DAY + timedelta(days=rng.randrange(HISTORY_DAYS)) for _ in range(rows))
    orders = [(day, random_order(rng, day)) for day in days]
    placed = [
        (day.replace(hour=order.hour, minute=rng.randrange(60)), order) for day, order in orders
    ]
    for number, (time, order) in enumerate(sorted(placed, key=lambda each: each[0]), 1):
        yield {
            "order_id": f"A{number:06}",
            "ordered_at": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            **asdict(order),
            "late": "yes" if is_late(order, rng) else "no",
        }


def write_history(path: Path, rows: int) -> None:
    """Write the past deliveries as CSV; an unknown amount of rain is an empty field."""
    names = ["order_id", "ordered_at", *(field.name for field in fields(Order)), "late"]
    _write(path, names, past_deliveries(rows))
    print(f"{path}: {rows:,} deliveries")  # noqa: T201 - a program's answer


def play_week(path: Path, orders: int, url: str, *, bridge_closed: bool) -> None:
    """Ask the service about each order of a week, and write the outcomes for `slipway labels`."""
    rng = random.Random(path.stem)
    placed = [
        random_order(rng, FIRST_DAY + timedelta(days=rng.randrange(7))) for _ in range(orders)
    ]
    predictions: list[dict[str, Any]] = []
    for start in range(0, orders, REQUEST_ROWS):
        rows = [asdict(order) for order in placed[start : start + REQUEST_ROWS]]
        response = httpx.post(
            f"{url}/models/delivery/predict/batch", json={"rows": rows}, timeout=REQUEST_TIMEOUT_S
        )
        predictions += response.raise_for_status().json()["results"]
    late = [is_late(order, rng, bridge_closed=bridge_closed) for order in placed]
    outcomes = [
        {"prediction_id": each["prediction_id"], "truth": "yes" if truth else "no"}
        for each, truth in zip(predictions, late, strict=True)
    ]
    _write(path, ["prediction_id", "truth"], iter(outcomes))
    right = sum(
        each["prediction"] == outcome["truth"]
        for each, outcome in zip(predictions, outcomes, strict=True)
    )
    print(  # noqa: T201 - a program's answer
        f"{orders:,} orders, {sum(late) / orders:.0%} of them late, "
        f"{right / orders:.0%} predicted right; outcomes: {path}"
    )


def _write(path: Path, names: list[str], rows: Iterator[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """Parse the arguments and run one of the two commands."""
    parser = argparse.ArgumentParser(prog="python -m examples.deliveries")
    commands = parser.add_subparsers(dest="command", required=True)
    history = commands.add_parser("history", help="write past deliveries to a CSV file")
    history.add_argument("file", type=Path)
    history.add_argument("--rows", type=int, default=4_000)
    week = commands.add_parser("week", help="ask the service about a week of new orders")
    week.add_argument("file", type=Path, help="where the outcomes go")
    week.add_argument("--orders", type=int, default=1_500)
    week.add_argument("--url", default="http://127.0.0.1:3000")
    week.add_argument("--bridge-closed", action="store_true")
    given = parser.parse_args()
    if given.command == "history":
        write_history(given.file, given.rows)
    else:
        play_week(given.file, given.orders, given.url, bridge_closed=given.bridge_closed)


if __name__ == "__main__":
    main()
