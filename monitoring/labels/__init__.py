"""Ground truth: imported, stored, compacted, and joined to the predictions it belongs to.

In: label files and the service's label log. Out: labelled predictions, training rows.
May import: contracts, `monitoring.traffic`.
"""
