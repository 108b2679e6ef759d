"""A/B analysis: is the challenger better than production, valid at every look.

In: traffic of both variants and its labels. Out: an experiment document and its page.
May import: contracts, metrics, `monitoring.labels`, `monitoring.traffic`, `monitoring.reporting`.
"""
