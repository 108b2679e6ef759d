"""Tests of explanations, and of the process that scores for them."""
