"""Random tables against the loader and `slipway new`: read, or refused by name; no traceback.

In: a number of examples. Out: how many tables were read, drafted and refused.
May import: contracts, training, pandas and hypothesis.
"""
