"""No random table ends in a traceback; `python -m benchmarks.tables` tries 5,000."""

from pathlib import Path

from hypothesis import given, settings

from benchmarks.tables.attempts import draft_and_load, load_and_split
from benchmarks.tables.random_tables import RandomTable, random_tables


@settings(max_examples=60)
@given(random_tables())
def test_a_random_table_is_read_or_refused_by_name(example: RandomTable) -> None:
    assert load_and_split(example) in {"read", "refused"}


@settings(max_examples=40)
@given(random_tables())
def test_a_draft_of_a_random_table_reads_its_own_file(tmp_path: Path, example: RandomTable) -> None:
    assert draft_and_load(example, tmp_path) in {"drafted", "refused", "not written"}
