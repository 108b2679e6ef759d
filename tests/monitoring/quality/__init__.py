"""Tests of `monitoring.quality`."""
