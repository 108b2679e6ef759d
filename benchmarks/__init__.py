"""Measurements of the platform against its peers; nothing else imports this.

In: a checkout with its environment. Out: figures as JSON below `<benchmark>/results`.
May import every package.
"""
