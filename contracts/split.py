"""How a model's requests are divided between production and a challenger.

The division is a definition, not a state: whoever knows the model's name, a unit and the
weight knows the variant. So workers, restarts and machines agree without talking, and what
renders the same words for another router must hash in the same way.
"""

from hashlib import blake2b
from typing import Literal

from contracts.documents import Document

Variant = Literal["production", "challenger"]

UNIT_HEADER = b"x-user-id"
"""The header that names the unit: whoever must meet the same variant each time."""
_PERSON = b"slipway.split"
_POINT_BYTES = 8
_POINT_BITS = 53
"""As many bits as a float holds exactly, so that no point is rounded up to 1."""


class TrafficSplit(Document, frozen=True, kw_only=True):
    """Which share of a model's units the challenger answers; `var/models/<name>/split.json`.

    `weight` is that share, above 0 and at most 1. `by` names the feature of a one-row request
    that is the unit where the header `x-user-id` is missing; empty for none: then each request
    is a unit of its own. `canary` names the canary that moves the weight, by the moment it began;
    empty where the weight is fixed. `since` is when this weight took effect.
    """

    model: str
    challenger_version: int
    challenger_digest: str
    weight: float
    by: str = ""
    canary: str = ""
    since: str

    def variant_at(self, point: float) -> Variant:
        """Who answers the unit at this point; a higher weight only adds to the challenger."""
        return "challenger" if point < self.weight else "production"


def place_of(model: str, unit: bytes) -> tuple[float, str]:
    """A unit's point in `[0, 1)`, and the name by which the traffic log knows it.

    Both are of one BLAKE2b hash (RFC 7693) keyed with the model's name: the first eight bytes
    say the point, the other eight are the name, so that a name does not tell its point, and
    the points of one unit under two models have nothing to do with each other.

    >>> place_of("loan", b"ada")
    (0.12078451919262767, 'd7ca57b9efa331ba')
    """
    digest = blake2b(unit, key=model.encode(), person=_PERSON, digest_size=16).digest()
    number = int.from_bytes(digest[:_POINT_BYTES], "big") >> (8 * _POINT_BYTES - _POINT_BITS)
    return number * 2.0**-_POINT_BITS, digest[_POINT_BYTES:].hex()
