"""The documentation site: what of it is made from the code, and how MkDocs builds it.

In: the code of all packages, and the pages of the repository. Out: `docs/reference`, written by
`python -m docs_site` and compared by a test, and the hook that `mkdocs.yml` names. It may import
every package; none imports it, and no installation has it.
"""
