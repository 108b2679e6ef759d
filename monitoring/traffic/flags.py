"""The flags of a prediction as one text: how a table of traffic holds them."""

from collections.abc import Iterable

import polars as pl


def joined_flags(rows: Iterable[Iterable[str]]) -> pl.Series:
    """The flags of each row, joined by commas; null where there are none.

    Names of features may hold commas, so commas and per cent signs within a flag are escaped.
    """
    return pl.Series([",".join(map(_escaped, flags)) or None for flags in rows], dtype=pl.String)


def split_flags(joined: str | None) -> tuple[str, ...]:
    """The flags in a text that `joined_flags` made.

    >>> split_flags(joined_flags([["clipped:a,b", "unseen:3P%"]])[0])
    ('clipped:a,b', 'unseen:3P%')
    """
    parts = (joined or "").split(",")
    return tuple(part.replace("%2C", ",").replace("%25", "%") for part in parts if part)


def _escaped(flag: str) -> str:
    return flag.replace("%", "%25").replace(",", "%2C")
