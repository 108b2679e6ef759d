"""Pages: one frame, one style and one way to render HTML, for every package that writes pages.

In: a Jinja template of the package that asks, and values. Out: one HTML page as text, with
every value escaped, which needs no network and no script.
May import: contracts. The only package that imports jinja2.
"""
