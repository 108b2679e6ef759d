"""The words that cross borders between the rooms.

In: nothing. Out: the schema, the documents at the doors (manifest, reference, pointer,
traffic record, verdict), the names, the settings loader and the error tree.
No file, clock, network or environment is touched here; every room may import this one,
and it imports none of them.
"""
