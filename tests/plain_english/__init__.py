"""A check for plain English in prose: comments, docstrings, messages, pages and templates.

In: the files of this checkout and `words.tsv`. Out: file, line, the words found and what to write
instead. It imports nothing of ours. `make lint` runs it as `python -m tests.plain_english`.
"""
