"""What a version's traffic is compared with, and which version that is."""

import shutil

import pytest

from contracts.errors import CorruptModel, NotFoundHere, NotRegistered
from monitoring.baseline import find_baseline, select_segments, served_version
from tests.conftest import Workplace


def test_the_served_version_is_read_from_the_pointer_alone(place: Workplace) -> None:
    """The scheduler asks every few seconds; only a verdict needs the verified directory."""
    directory = place.layout.model("tiny", 1)
    hidden = directory.with_name("hidden")
    shutil.move(directory, hidden)
    try:
        assert served_version(place.store, place.layout, "tiny") == 1
    finally:
        shutil.move(hidden, directory)
    with pytest.raises(NotRegistered, match="got 'tny'"):
        served_version(place.store, place.layout, "tny")


def test_a_baseline_is_verified_and_says_whether_it_is_served(place: Workplace) -> None:
    served, other = (
        find_baseline(place.store, place.layout, "tiny", version) for version in (None, 2)
    )

    assert (served.version, served.is_served) == (1, True)
    assert (other.version, other.is_served) == (2, False)
    reference = other.directory / "reference.json"
    content = reference.read_bytes()
    reference.write_bytes(content + b" ")
    try:
        with pytest.raises(CorruptModel):
            find_baseline(place.store, place.layout, "tiny", 2)
    finally:
        reference.write_bytes(content)


def test_segments_are_those_of_the_manifest_or_the_ones_asked_for_once(place: Workplace) -> None:
    baseline = find_baseline(place.store, place.layout, "tiny", 1)

    assert select_segments(baseline, None) == ("region", "work")
    assert select_segments(baseline, ("work", "work")) == ("work",)
    with pytest.raises(NotFoundHere, match="expected a category feature of 'tiny' version 1"):
        select_segments(baseline, ("age",))
