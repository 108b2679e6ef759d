"""The flags of a prediction: their names, and one text of them as a table of traffic holds it."""

from collections.abc import Iterable

from contracts.feature import Feature


def flag_of(feature: Feature) -> str:
    """The flag that a feature's policy may give: such as `clipped:age` or `unseen:city`."""
    if feature.is_category:
        return f"unseen:{feature.name}"
    return f"{'clipped' if feature.policy == 'clip' else 'out_of_range'}:{feature.name}"


def joined_flag_texts(rows: Iterable[Iterable[str]]) -> list[str | None]:
    """The flags of each row, joined by commas; None where there are none.

    Names of features may hold commas, so commas and per cent signs within a flag are escaped.

    >>> joined_flag_texts([["clipped:a,b", "unseen:3P%"], []])
    ['clipped:a%2Cb,unseen:3P%25', None]
    """
    return [",".join(map(_escaped, flags)) or None for flags in rows]


def split_flags(joined: str | None) -> tuple[str, ...]:
    """The flags in a text that `joined_flag_texts` made.

    >>> split_flags("clipped:a%2Cb,unseen:3P%25")
    ('clipped:a,b', 'unseen:3P%')
    """
    parts = (joined or "").split(",")
    return tuple(part.replace("%2C", ",").replace("%25", "%") for part in parts if part)


def _escaped(flag: str) -> str:
    return flag.replace("%", "%25").replace(",", "%2C")
