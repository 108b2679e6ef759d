"""Models that are scored outside the worker, in processes that can be ended.

In: rows or matrices, and which model to load. Out: scores. `pool.py` and `process.py` run in the
worker, `__main__.py` and the models it loads in the scoring process: fitted scikit-learn pipelines
with a team's own feature code, and ONNX graphs that are not proved light. Only the scoring process
imports scikit-learn, pandas and skops. May import contracts and the ONNX session.
"""
