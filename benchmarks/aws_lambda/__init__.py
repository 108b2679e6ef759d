"""The Lambda function: cold start, warm answers and size, next to a handler with scikit-learn.

    python -m benchmarks.aws_lambda

AWS's own runtime client runs both handlers against a Runtime API on this machine. May import
everything.
"""
