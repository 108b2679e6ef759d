"""Versions, Production, and the way to the service."""
