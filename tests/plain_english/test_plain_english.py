"""The check finds each banned word wherever people read, and nothing in code."""

from pathlib import Path

import pytest

from tests.plain_english.__main__ import files, main
from tests.plain_english.prose import Kind, Passage, passages
from tests.plain_english.rules import Rule, findings, rules

BOOK = rules()
KINDS: tuple[Kind, ...] = ("comment", "docstring", "message", "page")


def lines_of(path: Path) -> list[tuple[int, str]]:
    """Line and words of each finding in a file."""
    return [(f.line, f.found) for p in passages(path) for f in findings(p, BOOK)]


@pytest.mark.parametrize("rule", BOOK, ids=lambda rule: rule.write)
def test_each_rule_finds_its_example(rule: Rule) -> None:
    assert rule.pattern.search(rule.example)


def test_a_replacement_has_none_of_the_banned_words() -> None:
    for rule in BOOK:
        assert not list(findings(Passage("page", rule.write, 1), BOOK)), rule.write


@pytest.mark.parametrize(
    "plain",
    [
        "Leaves room for looks after the last one; a full queue makes room.",
        "At most 512 rows; no more than one worker.",
        "Who is in it?",
        "The service answers a request, records a prediction and looks up a model.",
        "36,175 requests a second.",
        "The same version answers again. See below.",
        "One file\n\na model has.",
    ],
)
def test_plain_sentences_pass(plain: str) -> None:
    assert not list(findings(Passage("page", plain, 1), BOOK))


def test_a_docstring_that_points_elsewhere_is_found_and_a_page_is_not() -> None:
    for text in ("The same, for a batch.", "See `submit`."):
        found = {kind for kind in KINDS if list(findings(Passage(kind, text, 1), BOOK))}
        assert found == {"docstring"}


def test_python_is_read_where_people_read_it(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text(
        '"""What is told here."""\n'
        "\n"
        "told = anew = 1  # is told\n"
        'KEY = "told"\n'
        "\n"
        "\n"
        "def read(told: int) -> str:\n"
        '    """Return\n'
        "\n"
        "    what the log tells.\n"
        '    """\n'
        "    # A comment that is\n"
        "    # looked for twice.\n"
        "    return (\n"
        '        "first "\n'
        '        f"{told} is "\n'
        '        "told here"\n'
        "    )\n"
        "\n"
        "\n"
        "def test_a_person_is_told() -> None:\n"
        '    """See above."""\n'
    )

    assert sorted(lines_of(path)) == [
        (1, "told"),
        (3, "told"),
        (10, "tells"),
        (12, "is looked"),
        (17, "told"),
        (21, "told"),
        (22, "See"),
    ]


def test_code_in_markdown_is_not_prose(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(
        "# Page\n\n```sh\necho told\n```\n\nThe `told` field, [tells](told.md) what is\ntold.\n"
        "\n## [0.1.0]\n- Everything was told anew.\n"
    )

    assert lines_of(path) == [(8, "told"), (7, "tells")]


def test_markup_in_a_template_is_not_prose(tmp_path: Path) -> None:
    path = tmp_path / "page.html.j2"
    path.write_text(
        "<style>\n.told { color: red }\n</style>\n<p class='told'>{{ told }} is mended\n</p>"
    )

    assert lines_of(path) == [(4, "mended")]


def test_the_command_names_file_line_words_and_replacement(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("Fine.\nMend the sender.\n")

    assert main([str(page)]) == 1
    assert capsys.readouterr().out == f'{page}:2: "Mend"; write: fix\n'

    page.write_text("Fix the data source.\n")
    assert main([str(page)]) == 0
    assert capsys.readouterr().out == ""


def test_the_packages_the_pages_and_the_tests_are_read() -> None:
    listed = files()

    assert {"README.md", "docs/gate.md", "contracts/errors.py", "tests/tiny.py"} <= set(listed)
    assert main(["tests/plain_english/test_plain_english.py"]) == 0
