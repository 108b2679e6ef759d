"""How a model's requests are divided between production and a challenger.

The division is a definition, not a state: the model's name, a unit and the weight give the
variant. So workers, restarts and machines agree without exchanging anything. A router other
than Slipway that follows the same split must use the same hash.
"""

from hashlib import blake2b
from typing import Literal

from contracts.documents import Document

Variant = Literal["production", "challenger"]

UNIT_HEADER = b"x-user-id"
"""The header that names the unit, such as a user, that always gets the same variant."""
_PERSON = b"slipway.split"
_BUCKET_BYTES = 8
_BUCKET_BITS = 53
"""The bits that a float holds exactly, so that no bucket is rounded up to 1."""


class TrafficSplit(Document, frozen=True, kw_only=True):
    """The share of a model's units that the challenger answers; `var/models/<name>/split.json`.

    `weight` is that share, above 0 and at most 1. `by` names the feature of a one-row request
    that identifies the unit if the header `x-user-id` is missing; without either, each request
    is a unit of its own. `canary` names the canary that changes the weight, by its start time;
    it is empty for a fixed weight. `since` is the time from which this weight applies.
    """

    model: str
    challenger_version: int
    challenger_digest: str
    weight: float
    by: str = ""
    canary: str = ""
    since: str

    def variant_for(self, bucket: float) -> Variant:
        """The variant of the units in a bucket; a higher weight only adds to the challenger."""
        return "challenger" if bucket < self.weight else "production"


def bucket_of(model: str, unit: bytes) -> tuple[float, str]:
    """A unit's bucket in `[0, 1)`, and the unit's pseudonym in the traffic log.

    Both come from one BLAKE2b hash (RFC 7693) keyed with the model's name: the first eight
    bytes give the bucket, the other eight the pseudonym. So a pseudonym does not reveal its
    bucket, and the buckets of one unit under two models are independent.

    >>> bucket_of("loan", b"ada")
    (0.12078451919262767, 'd7ca57b9efa331ba')
    """
    digest = blake2b(unit, key=model.encode(), person=_PERSON, digest_size=16).digest()
    number = int.from_bytes(digest[:_BUCKET_BYTES], "big") >> (8 * _BUCKET_BYTES - _BUCKET_BITS)
    return number * 2.0**-_BUCKET_BITS, digest[_BUCKET_BYTES:].hex()
