"""Alerts: which verdicts people hear about, messages that survive a crash, Prometheus gauges.

In: verdicts. Out: messages through apprise, metrics for Prometheus.
May import: contracts, `monitoring.verdicts`.
"""
