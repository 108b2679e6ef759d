"""One model in one worker: rows in, scores, answers and lines of traffic out.

Loading and trial of model directories, decoding, batching, the session, the cache, the log.
Knows no HTTP, no protocol and no BentoML; a fault has a code, not a status.
"""
