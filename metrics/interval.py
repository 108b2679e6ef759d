"""Confidence intervals of a share."""

import numpy as np

Z95 = 1.959963984540054
"""The normal quantile of a two-sided 95 % interval."""


def wilson(hits: float, n: int, z: float = Z95) -> tuple[float, float]:
    """The interval of a share of `hits` in `n`, at 95 % unless `z` says otherwise.

    Wilson (1927), "Probable inference, the law of succession, and statistical inference", JASA
    22. The example is in table I of Newcombe (1998), Statistics in Medicine 17. Without a row
    it is 0 to 1.

    >>> [round(end, 4) for end in wilson(81, 263)]
    [0.2553, 0.3662]
    """
    if not n:
        return 0.0, 1.0
    share = hits / n
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n * n))
    return max(float(middle - half), 0.0), min(float(middle + half), 1.0)
