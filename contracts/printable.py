"""Text of others in our lines: without characters that control a terminal or end a line."""


def printable(text: str) -> str:
    r"""`text` with every control character and line separator spelt as an escape.

    >>> printable("loan"), printable("x\ny"), printable("\x1b[31mred")
    ('loan', 'x\\ny', '\\x1b[31mred')
    """
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
