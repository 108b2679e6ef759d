"""Names of columns: text in Unicode's composed form (NFC), each once."""

from collections import Counter
from collections.abc import Sequence

import pandas as pd

from contracts.errors import InvalidData, preview
from contracts.schema import normalized


def repeated_name(names: Sequence[str]) -> tuple[str, str] | None:
    """The first name that occurs several times, and its places counted from 1; None without one.

    >>> repeated_name(["a", "b", "a"])
    ('"a"', '1 and 3')
    """
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if not repeated:
        return None
    places = [str(index + 1) for index, name in enumerate(names) if name == repeated[0]]
    return preview(repeated[0]), " and ".join(places)


def with_unique_names(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose column names are text in NFC.

    Raises:
        InvalidData: two columns have one name, or names have several levels.

    """
    if isinstance(table.columns, pd.MultiIndex):
        raise InvalidData(
            f"expected one name per column, got {table.columns.nlevels} levels of names",
            remedy="join the levels in the loader: "
            "table.columns = ['_'.join(map(str, names)) for names in table.columns]",
        )
    names = [normalized(str(name)) for name in table.columns]
    if repeated := repeated_name(names):
        name, places = repeated
        raise InvalidData(
            f"expected each column name once, got {name} as column {places}",
            remedy="rename or drop one of them in the loader",
        )
    return table if names == list(table.columns) else table.set_axis(names, axis="columns")
