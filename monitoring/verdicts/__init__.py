"""Verdicts: the decision on a window, its wording, its history and what was accepted.

In: findings of drift, quality and performance. Out: one verdict document per window.
May import: contracts, metrics, and the packages that make findings.
"""
