"""Training: data becomes a run in MLflow with a registered, certified version.

In: a recipe, `training/recipes/<name>.py`, the only file a user adds. Out: the run (metrics,
plots, the pipeline), the model directory (ONNX, manifest, reference) and its version.
May import: contracts, metrics, pages and registry.
"""
