"""Requests become predictions, and a line of traffic each.

In: verified model directories and the pointers to them. Out: answers over HTTP, the traffic
log, metrics. One BentoML service, `services.predictor:Predictor`, serves every model.
May import contracts; never MLflow, the registry, scikit-learn, pandas or Evidently.
"""
