"""The words of a split: read as they are written, or refused with what to write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import InvalidSplit
from registry.split_spec import EACH, STEPS, Wish, parse

SHARES = st.integers(1, 10**8).map(lambda n: n / 10**8).map(lambda share: round(share, 8))
FEATURES = st.sampled_from(["", "account", "Kunde_7"])
WISHES = st.builds(Wish, weight=SHARES, by=FEATURES) | st.builds(
    Wish,
    steps=st.lists(SHARES, min_size=1, max_size=6, unique=True).map(lambda s: tuple(sorted(s))),
    each=st.integers(1, 10**6),
    by=FEATURES,
)


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("10%", Wish(weight=0.1)),
        (" 0.5 % ", Wish(weight=0.005)),
        ("100%", Wish(weight=1.0)),
        ("off", Wish()),
        ("0", Wish()),
        ("0%", Wish()),
        ("10% by account", Wish(weight=0.1, by="account")),
        ("canary", Wish(steps=STEPS, each=EACH)),
        ("canary 5,50", Wish(steps=(0.05, 0.5))),
        ("canary 1, 5, 100 each 50 by x", Wish(steps=(0.01, 0.05, 1.0), each=50, by="x")),
    ],
)
def test_what_people_write_is_understood(text: str, wish: Wish) -> None:
    assert parse(text) == wish


@pytest.mark.parametrize(
    "text",
    ["", "10", "0.1", "101%", "-1%", "canary 5,1", "canary 5,5", "canary 0,5", "nan%", "ten%",
     "10% of users", "canary each 0", "1e1%", "off 10%", "canary 1,200"],
)  # fmt: skip
def test_what_is_not_clear_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(InvalidSplit) as refusal:
        parse(text)

    assert "expected" in refusal.value.what
    assert "write 10%, off, canary" in refusal.value.remedy


@given(WISHES)
def test_a_wish_survives_being_written(wish: Wish) -> None:
    assert parse(wish.text) == wish


@given(st.text(max_size=60))
def test_any_text_is_a_wish_or_refused(text: str) -> None:
    try:
        wish = parse(text)
    except InvalidSplit:
        return
    assert all(0 < share <= 1 for share in wish.steps or (wish.weight or 1.0,))
