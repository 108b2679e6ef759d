"""Streams: messages in, predictions out, through Redis Streams or the Kafka protocol.

A source yields messages with their positions, the scorer answers them through the endpoint of
one version, a sink publishes the answers; only then are the messages acknowledged. What cannot
be answered goes to the dead letters, with its violations and its original bytes. May import
serving and below, and of a broker's client only what the file of that broker imports.
"""
