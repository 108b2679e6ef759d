"""Tests of scoring processes."""
