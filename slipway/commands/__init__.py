"""The commands of `slipway`, one file each or one for a group that belongs together.

In: what a person types. Out: a table for people, or JSON with `--json`.
May import every package, each only when its command runs.
"""
