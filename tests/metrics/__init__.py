"""Tests of the metrics, against scikit-learn and scipy."""
