"""Drift: histograms of a window compared with the reference, and the rule for a finding.

In: batches of the traffic log, the model's reference, earlier verdicts. Out: one finding per
column.
May import: contracts, metrics, `monitoring.traffic`, `monitoring.settings`.
"""
