"""Other people's words for the same prediction: each file translates one protocol.

A protocol knows bodies and nothing of HTTP, queues or models: it turns a body into rows of the
schema, and records into a body.
"""
