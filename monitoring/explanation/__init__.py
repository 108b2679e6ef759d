"""Explanation: Shapley values of a prediction, and the process that scores rows for them.

In: a logged prediction. Out: the contribution of each feature.
May import: contracts, `monitoring.baseline`, `monitoring.reference_sample`.
"""
