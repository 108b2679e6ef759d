"""The pages of `docs/reference`, one file per page; `pages.py` lists and writes them.

In: recipes' fields, commands, metrics, routes, messages, errors and documents as the code defines
them. Out: Markdown, and JSON Schema files. It may import every package.
"""
