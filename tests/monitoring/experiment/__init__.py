"""Tests of A/B experiments."""
