"""Our own translation of fitted scikit-learn models to ONNX graphs in float64.

In: a fitted estimator. Out: a graph that repeats scikit-learn's arithmetic step by step, for
models whose float32 graph does not answer like the pipeline, or which skl2onnx does not convert.
Each file knows one family of estimators. May import: contracts.
"""
