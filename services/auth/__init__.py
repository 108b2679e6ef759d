"""Authentication: API keys, their scopes and their rate limits.

In: a request's headers and the scope that its path needs. Out: nothing, or a fault (`unauthorized`,
`forbidden`, `rate_limited`), before the body is read.
May import `services.settings`, `services.faults` and `contracts`.
"""
