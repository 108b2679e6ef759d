"""Tests of alerts: episodes, the outbox, messages and gauges."""
