"""Tests of `monitoring.performance`."""
