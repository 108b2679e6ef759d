"""How pages write numbers, counts and times."""


def format_number(value: float | None, spec: str = ",") -> str:
    """A number in Python's format language, or a dash for None.

    >>> format_number(48210), format_number(0.0855, ".2%"), format_number(None)
    ('48,210', '8.55%', '-')
    """
    return "-" if value is None else format(value, spec)


def format_p_value(value: float) -> str:
    """A p-value in two digits; one too small for a float is shown as a bound, not as 0.

    >>> format_p_value(0.00312), format_p_value(0.0)
    ('0.0031', '< 1e-300')
    """
    return f"{value:.2g}" if value else "< 1e-300"


def format_minute(time: str) -> str:
    """The minute of a document's time, as people write it.

    >>> format_minute("2026-01-31T12:00:09.123456Z")
    '2026-01-31 12:00'
    """
    return time[:16].replace("T", " ")


def format_count(n: int, noun: str) -> str:
    """A number of things; the plural ends in "s".

    >>> format_count(1, "row"), format_count(48210, "row")
    ('1 row', '48,210 rows')
    """
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
