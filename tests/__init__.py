"""Tests read as sentences; each folder watches one room from outside."""
