"""The command line: each command calls one function of another package and prints the result.

In: what a person types. Out: a table for people, or JSON with `--json`; exit codes for scripts.
May import every package, heavy ones only when a command runs.
"""
