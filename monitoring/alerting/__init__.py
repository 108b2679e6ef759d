"""Alerts: which verdicts people hear about, messages that survive a crash, Prometheus gauges.

In: verdicts. Out: messages through apprise, gauges for Prometheus below `var/metrics`.
May import: contracts, `monitoring.verdicts`.
"""
