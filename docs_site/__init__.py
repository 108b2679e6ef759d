"""The documentation site: how MkDocs builds it from `docs/` and the pages next to the code.

In: the pages of the repository. Out: the hook that `mkdocs.yml` names. It may import every
package; none imports it, and no installation has it.
"""
