"""Evaluation: challenger and production compared on held-out rows that neither has learned.

In: two registered versions. Out: a comparison for the gate, and the page of its decision.
May import: contracts, metrics, pages, registry, and the modules of `training`.
"""
