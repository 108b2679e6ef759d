"""Data quality: missing, mistyped, unseen and duplicated values, gaps in time.

In: counts of a window, the model's reference. Out: quality findings.
May import: contracts, `monitoring.drift` for its histograms and tests, `monitoring.traffic`,
`monitoring.settings`.
"""
