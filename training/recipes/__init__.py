"""Recipes: one file per model, `<name>.py` with one `recipe`; a file `_<name>.py` is no recipe.

In: data. Out: a `training.recipe.Recipe`.
May import: contracts.schema, training.recipe, training.threshold_rule, `read_csv` and
`read_parquet` of training.dataset, and any library.
"""
