"""Requests, answers, and what is left of them."""
