"""Files are scored: Parquet, CSV and JSON lines in, the same with predictions out.

In: a model directory and files, on this machine or in an S3-compatible store. Out: a folder with
predictions, rejected rows, and traffic in the compacted form that monitoring reads. `scorer.py`
scores record batches; `run.py` drives it on one machine, `spark.py` and `ray.py` on a cluster.
May import `services.inference` and contracts; knows no HTTP. Only this package knows pyarrow, and
the service's own process never imports it.
"""
