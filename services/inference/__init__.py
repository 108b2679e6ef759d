"""One version of a model in one worker: load, decode, batch, score, render, log.

In: a model directory, and rows of requests. Out: batch results, and records in the traffic log.
May import `services.faults`, `services.metrics`, `services.settings` and `contracts`; knows no
HTTP, no protocol and no BentoML. A fault has a code, not a status.
"""
