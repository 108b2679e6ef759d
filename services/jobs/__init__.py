"""Jobs: rows that are accepted now, scored by a process next to the service, and fetched later.

In: bodies of the batch route. Out: a job's state and, page by page, its results. A store keeps
both; `services.job_worker` is the process that scores. May import `services.serving` and below;
knows no HTTP server.
"""
