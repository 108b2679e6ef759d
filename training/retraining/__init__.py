"""Retraining: a challenger trained on recent labelled traffic, as its request says.

In: a retraining request and its rows. Out: a registered version.
May import: contracts, metrics, registry, and the modules of `training`.
"""
