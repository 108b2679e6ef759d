"""The runner of pages itself: what it reads, what it accepts as the same output."""

from pathlib import Path

import pytest

from tests.slipway.shown_commands import (
    Shell,
    apply_edit,
    at_port,
    blocks_of,
    commands_of,
    is_shown,
)

PAGE = """
```sh
slipway train loan    # a comment
curl -s http://x \\
  -d '{"a": "#1"}'
```

```text
trained
```

```python
skipped = True
```
"""


def test_a_page_is_read_as_commands_and_outputs() -> None:
    assert [block.kind for block in blocks_of(PAGE)] == ["sh", "text"]
    assert commands_of(PAGE) == ["slipway train loan", """curl -s http://x    -d '{"a": "#1"}'"""]


def test_a_command_goes_on_where_a_quote_is_open() -> None:
    assert commands_of('```sh\npython -c "\nx = 1\ny = x"\nls\n```\n') == [
        'python -c "\nx = 1\ny = x"',
        "ls",
    ]


def test_only_the_port_of_a_command_changes() -> None:
    assert at_port("curl http://127.0.0.1:3000/models", 71) == "curl http://127.0.0.1:71/models"
    assert at_port("slipway simulate x", 71) == "slipway simulate x --url http://127.0.0.1:71"
    assert at_port("slipway train x", 71) == "slipway train x"


@pytest.mark.parametrize(
    ("shown", "real", "same"),
    [
        ("rmse 52.1 of run 0d1c2b3a4f", "rmse   49.9 of run 9f9f9f9f90", True),
        ("3 errors", "0 errors", False),
        ("┃ a  ┃ b ┃\n└────┴───┘", "a b", True),
        ("var/x.html", "/home/a/var/x.html", True),
        ("a\n...\nd", "a\nb\nc\nd", True),
        ("a\nd", "a\nb\nd", False),
        ("a\n...", "b\na", False),
    ],
)
def test_an_output_may_differ_in_numbers_ids_and_folders_only(
    shown: str, real: str, *, same: bool
) -> None:
    assert is_shown(shown, real) is same


def test_a_shell_keeps_variables_and_hands_on_what_fails(tmp_path: Path) -> None:
    with Shell(tmp_path, {"PATH": "/usr/bin:/bin"}, tmp_path) as shell:
        assert shell.run("NAME=loan") == (0, "")
        assert shell.run("cat; echo $NAME; echo no >&2; (exit 3)") == (3, "loan\nno\n")


def test_an_edit_needs_its_one_place(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\ny = 2\n")
    edit = "--- a.py\n+++ a.py\n@@\n x = 1\n-y = 2\n+y = 3\n"
    apply_edit(tmp_path, edit)

    assert (tmp_path / "a.py").read_text() == "x = 1\ny = 3\n"
    with pytest.raises(AssertionError, match="0 places"):
        apply_edit(tmp_path, edit)
