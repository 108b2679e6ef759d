"""Replay: logged traffic scored again by another version.

In: a window of the traffic log, a version. Out: a replay document and its page.
May import: contracts, metrics, pages, and the packages below it in `monitoring`.
"""
