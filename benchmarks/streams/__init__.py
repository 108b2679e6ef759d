"""Benchmarks of stream workers: speed on one core, and what is left after a hundred kills.

Reads the brokers from their own clients, and starts `slipway stream` as processes. May import
everything.
"""
