"""Retraining: whether a verdict justifies it, on which rows, in a process of its own.

In: verdicts, labelled traffic. Out: a request for `training`, and the record of its outcome.
May import: contracts, registry, and the packages below it in `monitoring`.
"""
