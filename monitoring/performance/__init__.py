"""Performance: realized, from labels; estimated, without them; for each segment.

In: labelled predictions, the model's held-out rows. Out: metric estimates with intervals.
May import: contracts, metrics, `monitoring.labels`, `monitoring.traffic`.
"""
