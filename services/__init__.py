"""Requests become predictions, each with a line in the traffic log.

In: verified model directories and the pointers to them. Out: responses over HTTP, the traffic
log, metrics. One BentoML service, `services.predictor:Predictor`, serves every model.
May import contracts; never MLflow, the registry, scikit-learn, pandas or Evidently.
"""
