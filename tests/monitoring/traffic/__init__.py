"""Tests of `monitoring.traffic`."""
