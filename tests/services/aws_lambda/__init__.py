"""The Lambda function, run by AWS's own runtime client against a runtime API on this machine."""
