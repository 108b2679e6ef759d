"""The flags of rows as a column of a table of traffic."""

from collections.abc import Iterable

import polars as pl

from contracts.flags import joined_flag_texts


def joined_flags(rows: Iterable[Iterable[str]]) -> pl.Series:
    """The flags of each row, joined by commas; null where there are none.

    >>> joined_flags([["clipped:age", "unseen:region"], []]).to_list()
    ['clipped:age,unseen:region', None]
    """
    return pl.Series(joined_flag_texts(rows), dtype=pl.String)
