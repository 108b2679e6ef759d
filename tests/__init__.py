"""Tests read as sentences; each folder tests one package from outside."""
