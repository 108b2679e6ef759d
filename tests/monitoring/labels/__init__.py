"""Tests of `monitoring.labels`."""
