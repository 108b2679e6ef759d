"""gRPC and binary tensors, measured: next to a bare echo, and next to JSON.

In: models made by the `slipway` commands. Out: a table, and whether the bars are met. It imports
the testbed of `benchmarks.serving`.
"""
