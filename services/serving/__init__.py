"""Which version of which model answers, in one worker process.

In: requests that a transport read. Out: encoded responses, given to the request's sink; versions
are loaded, split and retired. May import `services.protocols`, `services.inference` and below;
knows no transport.
"""
