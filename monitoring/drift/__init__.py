"""Drift: histograms of a window held against the reference, and the rule for an alarm.

In: batches of the traffic log, the model's reference. Out: findings, one per column.
May import: contracts, metrics, `monitoring.traffic`.
"""
