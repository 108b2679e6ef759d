"""Serving: which version answers for which model, in one worker.

In: requests from a transport. Out: encoded answers; versions are loaded, split and retired.
May import: `services.protocols`, `services.inference`, settings and metrics; no transport.
"""
