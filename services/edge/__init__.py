"""From the socket to a desk: the hoist, the outermost application, and the wire below it.

In: bytes or ASGI messages. Out: bytes. Knows HTTP, paths and limits, and nothing of models;
what is not ours goes on to BentoML. Stands on `access` and on the hall; nothing of ours stands
on it but the predictor.
"""
