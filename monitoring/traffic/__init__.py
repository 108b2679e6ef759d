"""The traffic log: read, compacted to Parquet, and searched by prediction id.

In: JSON lines and Parquet below `var/traffic`. Out: batches of rows, a column each.
May import: contracts, metrics, `monitoring.settings`.
"""
