"""The page of a decision is one small file, in which nobody else's text becomes markup."""

import html.parser
import json
from pathlib import Path

from contracts.decision import Decision
from training.evaluation.decision_page import decision_html


class Reader(html.parser.HTMLParser):
    """The tags and addresses that a browser would see."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.addresses += [v or "" for k, v in attrs if k in {"href", "src", "onerror", "action"}]
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


GOLDEN = Path(__file__).parents[1] / "contracts" / "golden"


def test_the_page_is_small_whole_and_nobody_writes_tags_into_it() -> None:
    words = json.loads((GOLDEN / "decision.v1.json").read_bytes())
    attack = '<script>alert(1)</script><img src=x onerror="a">&'
    words |= {"because": attack, "by": attack, "sentence": attack, "model": attack}
    words["checks"][0] |= {"got": attack, "expected": attack, "path": attack}
    text = decision_html(Decision.read(json.dumps(words).encode()))
    reader = Reader()
    reader.feed(text)

    assert reader.open == []
    assert not reader.seen & {"script", "img", "link", "iframe"}
    assert reader.addresses == []
    assert "http" not in text.replace("http-equiv", "")
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text
    assert len(text) < 20_000
    assert text.count("&lt;script&gt;") >= 6
