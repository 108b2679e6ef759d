"""Evidently's report as one HTML page that runs its own scripts and nothing else.

Clients write category names: with `policy="flag"` any text is one. Evidently puts them into a
script element as they are. This module escapes them, and adds a content security policy that
names the page's scripts by their digests and forbids every request.
"""

import hashlib
import re
from base64 import b64encode
from typing import Any

_DATA = re.compile(
    r"(?<=<script>\n)    var (\w+) = .*;\n    var additional_graphs_\1 = .*;(?=\n</)"
)
"""The data in Evidently's template: two lines, because JSON text has no line breaks."""
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_CHARSET = '<meta charset="UTF-8">'
_ESCAPES = {ord(c): f"\\u{ord(c):04x}" for c in "<>&\u2028\u2029"}


def evidently_page(snapshot: Any) -> str:
    """The page of an Evidently snapshot; text from clients is data in it, never markup.

    Raises:
        ValueError: Evidently's template has changed, so its page would not be safe.

    """
    return safe_page(snapshot.get_html_str(as_iframe=False))


def safe_page(html: str) -> str:
    """A page of Evidently with its data escaped, and with a content security policy.

    Raises:
        ValueError: the page is not made from the template that this module knows.

    """
    escaped, n_data = _DATA.subn(lambda match: escape_json(match[0]), html, count=1)
    head, charset, rest = escaped.partition(_CHARSET)
    if not n_data or not charset:
        raise ValueError("expected Evidently's template with one data script, got another page")
    return f"{head}{charset}\n{_policy_tag(escaped)}{rest}"


def escape_json(text: str) -> str:
    r"""JSON text, escaped so that it cannot end a script element; its value is unchanged.

    >>> print(escape_json('["</script>", "a&b"]'))
    ["\u003c/script\u003e", "a\u0026b"]
    """
    return text.translate(_ESCAPES)


def _policy_tag(html: str) -> str:
    digests = [hashlib.sha256(script.encode()).digest() for script in _SCRIPT.findall(html)]
    scripts = " ".join(f"'sha256-{b64encode(digest).decode()}'" for digest in digests)
    policy = (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline'; "
        "img-src data: blob:; font-src data:; connect-src 'none'; "
        "base-uri 'none'; form-action 'none'"
    )
    return f'        <meta http-equiv="Content-Security-Policy" content="{policy}">'
