"""Drafting: a file of data becomes the text of a recipe that trains, with every doubt said.

In: a CSV or Parquet file and the name of its target. Out: Python source for
`training/recipes/<name>.py`, and the doubts that a person should settle.
May import: contracts, training.tables, training.leakage and pandas.
"""
