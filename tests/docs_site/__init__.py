"""Tests of the documentation site and of the pages that are made from the code."""
