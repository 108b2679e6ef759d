"""Reports: the drift report and the index of windows as HTML, Evidently, artifacts in MLflow.

In: verdicts and a sample of a window. Out: files below `var/reports`, MLflow artifacts.
May import: contracts, pages, `monitoring.verdicts` and the packages below it.
"""
