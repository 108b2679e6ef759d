"""Reports: the drift report as HTML, charts as SVG, Evidently, artifacts in MLflow.

In: a verdict and a sample of its window. Out: files below `var/reports`, MLflow artifacts.
May import: contracts, `monitoring.verdicts` and the packages below it.
"""
