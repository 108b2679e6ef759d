"""Shadow scoring: a process that scores logged requests again with another version.

In: the traffic log, and the pointers to shadow and production versions. Out: a log of both
versions' answers, counters of how often they agree, and the evidence of a canary. It shares no
memory with the workers, so it can neither slow nor break an answer; the follower starts it.
May import `services.inference`, `services.settings`, `services.faults` and `contracts`.
"""
