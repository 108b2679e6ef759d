"""Tests of `monitoring.monitor`: windows of traffic from the log to the verdict."""
