"""Ordinary estimators and pipelines of scikit-learn, by name, for one small table.

In: nothing. Out: `catalog.CASES`, what a person may bring. May import: contracts and training.
"""
