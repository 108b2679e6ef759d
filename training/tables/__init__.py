"""Tables: what a recipe's `load` returns, read as the schema says.

In: files, or tables of pandas, polars and Arrow. Out: a DataFrame with the schema's names and
types, or an error that names file, column, row and value.
May import: contracts, training.notes, pandas and pyarrow.
"""
