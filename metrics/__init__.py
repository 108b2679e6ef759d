"""The one definition of each metric, used by training, monitoring and the benchmarks.

In: arrays of targets, predictions and scores. Out: the value of a metric and by how much each
row moves it, its standard error and interval, and its values on weighted rows (bootstrap).
May import: contracts, numpy and scipy. The service imports none of this.
"""
