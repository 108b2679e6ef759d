"""A/B experiments: is the challenger better than production, valid at every look.

In: traffic of both variants and its labels. Out: an experiment document and its page.
May import: contracts, metrics, pages, and the packages below it in `monitoring`.
"""
