"""Tests of `monitoring.drift`."""
