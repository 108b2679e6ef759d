"""Tests of the Bento, the image and the scripts that make it."""
