"""Streams of messages, answered through real brokers."""
