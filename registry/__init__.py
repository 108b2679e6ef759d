"""Versions, production, the promotion gate, the history, and the way to the service.

In: runs and model directories that training logged; promotions by people, by command or in
`mlflow ui`. Out: the verified model directory of each production version in `var/models/` and in
BentoML's model store, with a pointer to it.
May import contracts; never scikit-learn, Evidently or another package of ours.
"""
