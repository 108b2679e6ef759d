"""A column of dates or times as a timestamp of a drafted recipe, with the parts that fit it."""

import re

import pandas as pd

from contracts.errors import InvalidRecipe
from contracts.feature import is_printable_name, timestamp
from training.drafting.features import DraftedColumn
from training.drafting.values import timestamp_parts_of

PERSONAL_DATE = re.compile(r"birth|born|dob", re.IGNORECASE)
FIRST_YEAR, LAST_YEAR = 1900, 2099


def drafted_timestamp(name: str, times: pd.Series, *, is_split: bool) -> DraftedColumn:
    """A column of datetimes; `is_split` says that the newest rows by it are held out."""
    also = "the rows are split by it; " if is_split else ""
    if not is_printable_name(name):
        return DraftedColumn(name, left_out="its name is empty, too long or not printable")
    years = times.dropna().dt.year
    if not years.between(FIRST_YEAR, LAST_YEAR).all():
        return DraftedColumn(name, left_out=f"{also}it has dates outside 1900 to 2099")
    since: str | None = None
    parts: tuple[str, ...]
    if PERSONAL_DATE.search(name):
        parts, since = ("days_since",), f"{int(years.min())}-01-01"
    else:
        parts = timestamp_parts_of(times)
    if not parts:
        return DraftedColumn(name, left_out=f"{also}its hour, weekday and month say too little")
    doubt = (
        "set time_zone to the clock by which hours and days matter, such as 'Europe/Berlin': times "
        "without a zone are those of this clock, and clients send RFC 3339 with a zone"
    )
    try:
        made = timestamp(name, parts=parts, since=since, nullable=bool(times.isna().any()))
    except InvalidRecipe as err:
        return DraftedColumn(name, left_out=f"{also}{err.what}")
    return DraftedColumn(name, made, doubts=[doubt])
