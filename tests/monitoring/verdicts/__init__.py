"""Tests of `monitoring.verdicts`."""
