"""A window of traffic becomes a verdict, and a page that shows it.

In: the traffic log, labels, the served version's model directory. Out: verdicts in
`var/verdicts/<model>/`, pages in `var/reports/<model>/`, both logged to the version's run in
MLflow; past traffic as Parquet.
May import contracts and registry; never BentoML, services or training.
"""
