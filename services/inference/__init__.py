"""One version of a model in one worker: decode, batch, score, record.

In: request bodies and model directories. Out: `Rows`, scores, batch results, lines of the traffic
log. May import `services.settings`, `metrics`, `faults` and `contracts`; knows no HTTP, no wire
protocol and no BentoML. It is also where files, jobs and replays enter that need no endpoint.
"""
