"""Versions, Production, the promotion gate, the history, and the way to the service.

In: runs and model directories that training logged; a person's promotion, by command or in
`mlflow ui`. Out: the verified model directory of each Production version, in `var/models/`
and in BentoML's model store, with a pointer to it.
May import contracts; never scikit-learn, Evidently or another room.
"""
