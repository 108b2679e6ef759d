"""How fast files are scored, next to `mlflow models predict` and a loop written by hand; kills.

In: a linear model of ten columns that is trained for it. Out: rows per second, ratios, memory.
May import every package.
"""
