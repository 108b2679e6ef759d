"""A window of traffic becomes a verdict, and a report that shows it.

In: the traffic log, labels, the served version's model directory. Out: verdicts in
`var/verdicts/<model>/`, reports in `var/reports/<model>/`, both logged to the version's run in
MLflow; past traffic as Parquet; requests for retraining.
May import: contracts, metrics, pages, registry; never BentoML, services or training.
`pyproject.toml` lists the layers of the packages inside.
"""
