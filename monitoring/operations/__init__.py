"""The operations page: what is in production, and how every model does, on one page.

In: the registry, and the documents below `var/`. Out: one HTML page; nothing else is changed.
May import: contracts, pages, registry, and monitoring except the monitor and the scheduler.
"""
