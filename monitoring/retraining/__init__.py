"""Retraining: when a verdict justifies it, on which rows, as a process of its own.

In: verdicts, labelled traffic. Out: a request for `training`, the record of what came of it.
May import: contracts, registry, and the packages below in `monitoring`.
"""
