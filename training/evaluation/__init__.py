"""Evaluation: challenger and production compared on held-out rows that neither has learned.

In: two registered versions. Out: a comparison for the gate, and the decision page.
May import: contracts, metrics, registry, and the modules of `training`.
"""
