"""Tests of the service over gRPC."""
