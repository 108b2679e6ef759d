"""The syntax of a split: parsed as people write it, or refused with what to write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import InvalidSplit
from registry.split_spec import DEFAULT_REQUESTS_PER_STEP, DEFAULT_STEPS, SplitSpec, parse_split

SHARES = st.integers(1, 10**8).map(lambda n: n / 10**8).map(lambda share: round(share, 8))
FEATURES = st.sampled_from(["", "account", "Kunde_7"])
SPECS = st.builds(SplitSpec, weight=SHARES, by=FEATURES) | st.builds(
    SplitSpec,
    steps=st.lists(SHARES, min_size=1, max_size=6, unique=True).map(lambda s: tuple(sorted(s))),
    requests_per_step=st.integers(1, 10**6),
    by=FEATURES,
)


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("10%", SplitSpec(weight=0.1)),
        (" 0.5 % ", SplitSpec(weight=0.005)),
        ("100%", SplitSpec(weight=1.0)),
        ("off", SplitSpec()),
        ("0", SplitSpec()),
        ("0%", SplitSpec()),
        ("10% by account", SplitSpec(weight=0.1, by="account")),
        ("canary", SplitSpec(steps=DEFAULT_STEPS, requests_per_step=DEFAULT_REQUESTS_PER_STEP)),
        ("canary 5,50", SplitSpec(steps=(0.05, 0.5))),
        (
            "canary 1, 5, 100 each 50 by x",
            SplitSpec(steps=(0.01, 0.05, 1.0), requests_per_step=50, by="x"),
        ),
    ],
)
def test_what_people_write_is_parsed(text: str, spec: SplitSpec) -> None:
    assert parse_split(text) == spec


@pytest.mark.parametrize(
    "text",
    ["", "10", "0.1", "101%", "-1%", "canary 5,1", "canary 5,5", "canary 0,5", "nan%", "ten%",
     "10% of users", "canary each 0", "1e1%", "off 10%", "canary 1,200"],
)  # fmt: skip
def test_what_is_not_clear_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(InvalidSplit) as refusal:
        parse_split(text)

    assert "expected" in refusal.value.what
    assert "write 10%, off, canary" in refusal.value.remedy


@given(SPECS)
def test_a_spec_survives_being_written_and_read(spec: SplitSpec) -> None:
    assert parse_split(spec.text) == spec


@given(st.text(max_size=60))
def test_any_text_is_a_spec_or_is_refused(text: str) -> None:
    try:
        spec = parse_split(text)
    except InvalidSplit:
        return
    assert all(0 < share <= 1 for share in spec.steps or (spec.weight or 1.0,))
