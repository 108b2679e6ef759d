"""Shares, as they are typed: `2%` or `0.02`."""

from contracts.errors import InvalidData


def parse_share(text: str, option: str) -> float:
    """The share, from 0 to 1, that a text names.

    >>> parse_share("2%", "--max-flips")
    0.02

    Raises:
        InvalidData: another text, or not within 0 to 1; names `option`.

    """
    number, percent, _ = text.strip().partition("%")
    try:
        share = float(number) / (100 if percent else 1)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise InvalidData(
            f"{option}: expected a share from 0 to 100%, got {text!r}",
            remedy=f"for example {option} 2%",
        )
    return share
