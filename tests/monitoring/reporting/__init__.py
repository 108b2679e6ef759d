"""Tests of the HTML pages that monitoring writes."""
