"""The one command line, thin: each sub-command calls one function of a room.

In: what a person types. Out: a table for people, or JSON with `--json`.
It may import every room, and imports each only when its command runs.
"""
