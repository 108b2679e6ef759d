"""Frameworks other than scikit-learn: one file each, and `catalog`, which knows them all.

In: fitted estimators. Out: their ONNX graphs, the thresholds at which they split, and what
MLflow's own flavour of the framework logs. A framework's library is an optional extra, imported
only where an estimator of it is in a recipe. May import: contracts, training.translation,
training.features.
"""
