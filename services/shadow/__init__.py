"""A process beside the service: what would another version have said?

In: the traffic log, and the pointers to the versions that look on. Out: a line for each answer
that was scored again, gauges of how often they agree, and the evidence of a canary. It reads
what the workers wrote and shares nothing else with them, so it cannot slow an answer or break
one; the follower starts it when there is something to look at.
"""
