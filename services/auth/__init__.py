"""Who may ask, and how often: API keys, their scopes, their rates.

In: a header and a path's scope. Out: nothing, or a fault (401, 403, 429), before a body is read.
"""
