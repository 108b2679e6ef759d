"""The service over gRPC: the Open Inference Protocol, health and reflection.

In: calls, with keys and ids in their metadata. Out: the answers of endpoints, or faults as gRPC
statuses with Google's error details. It imports serving and what lies below it, grpcio and
protobuf, and is imported only where `SLIPWAY_SERVICE_GRPC_PORT` is set.
"""
