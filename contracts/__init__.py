"""The words that cross borders between the rooms.

In: nothing. Out: the schema, the documents at the doors (manifest, reference, pointer,
traffic record, verdict), the names, the settings loader and the error tree.
No clock, network or environment is touched here, and files only by `files`, which puts a
document in its place; every room may import this one,
and it imports none of them.
"""
