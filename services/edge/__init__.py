"""HTTP: bytes or ASGI messages in, bytes out.

Paths, limits, keys, statuses and the shape of errors. Paths that are not ours go on to BentoML.
May import `services.serving`, `services.auth` and below; only the predictor imports it.
"""
