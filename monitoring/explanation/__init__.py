"""Explanation: Shapley values of a prediction, scored by the service's own code in a process.

In: a logged prediction. Out: each feature's contribution.
May import: contracts, `monitoring.traffic`.
"""
