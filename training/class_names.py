"""How the values of a classifier's target are spelled as class names."""

import numpy as np

from contracts.schema import normalized


def class_name(value: object) -> str:
    """A class as JSON, manifests and metrics spell it.

    >>> class_name(True), class_name(1), class_name(1.0), class_name("yes"), class_name(0.5)
    ('true', '1', '1', 'yes', '0.5')
    """
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return normalized(str(value))
