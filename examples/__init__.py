"""Programs that a reader of the documentation runs; nothing of Slipway needs them.

In: arguments. Out: files of data, and requests to a running service. An example is one file and
imports nothing of ours, as a client's program would.
"""
