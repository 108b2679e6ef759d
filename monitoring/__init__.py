"""A window of traffic becomes a verdict, and a page that shows it.

In: the traffic log, the served version's model directory. Out: `var/verdicts/<model>/*.json`,
`var/reports/<model>/*.html`, both logged to the version's run in MLflow.
May import contracts and registry; never BentoML, services or training.
"""
