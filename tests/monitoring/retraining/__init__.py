"""Tests of retraining: why, on which rows, by one process at a time, and what comes of it."""
