"""The traffic log: read through projections, compacted to Parquet, searched by prediction id.

In: JSON lines and Parquet files below `var/traffic`. Out: batches of rows in columns.
May import: contracts.
"""
