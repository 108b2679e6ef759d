"""Which units meet the challenger: a definition that every process and machine computes alike."""

import hashlib
import os
import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.split import TrafficSplit, bucket_of
from tests.services.conftest import ROOT


def split_at(weight: float, model: str = "loan") -> TrafficSplit:
    return TrafficSplit(
        model=model, challenger_version=2, challenger_digest="d", weight=weight, since="now"
    )


@pytest.mark.parametrize("weight", [0.01, 0.1, 0.333, 0.5, 0.95])
@pytest.mark.parametrize("kind", ["{}", "user-{:08d}", "{0}@example.org"])
def test_of_100_000_users_the_share_is_the_weight(weight: float, kind: str) -> None:
    split = split_at(weight)
    share = sum(
        split.variant_for(bucket_of("loan", kind.format(i).encode())[0]) == "challenger"
        for i in range(100_000)
    )

    assert abs(share / 100_000 - weight) < 0.005


@given(st.binary(max_size=80), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_weight_only_moves_units_to_the_challenger(
    unit: bytes, one: float, other: float
) -> None:
    point, _ = bucket_of("loan", unit)
    low, high = sorted((one, other))

    assert 0.0 <= point < 1.0
    assert split_at(1.0).variant_for(point) == "challenger"
    if split_at(low).variant_for(point) == "challenger":
        assert split_at(high).variant_for(point) == "challenger"


def test_the_hash_is_what_its_standard_says() -> None:
    """The first 53 bits of a keyed BLAKE2b are the point, its second half is the name."""
    digest = hashlib.blake2b(
        b"ada", key=b"loan", person=b"slipway.split\0\0\0", digest_size=16
    ).hexdigest()
    point = (int(digest[:16], 16) >> 11) / 2**53

    assert bucket_of("loan", b"ada") == (point, digest[16:])


def test_two_models_divide_the_same_users_independently() -> None:
    """Chi-square of the four cells of 20,000 users at 50 %: 10.8 is p = 0.001 (1 degree)."""
    users = [str(i).encode() for i in range(20_000)]
    cells = Counter(
        tuple(bucket_of(model, user)[0] < 0.5 for model in ("loan", "iris")) for user in users
    )

    assert sum((n - 5000) ** 2 / 5000 for n in cells.values()) < 16.3


def test_another_process_gives_the_same_units_the_same_variants() -> None:
    code = "from contracts.split import bucket_of\n"
    code += "print([bucket_of('loan', str(i).encode()) for i in range(500)])"
    environ = os.environ | {"PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == str([bucket_of("loan", str(i).encode()) for i in range(500)])
