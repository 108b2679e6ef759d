"""Measurements of jobs: kills, the listing of many open jobs, predictions while jobs run.

Each module is a command and imports what it measures; nothing imports a module of this package but
its test.
"""
