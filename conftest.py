"""What pytest does not collect: doctests are read from every module of the packages but these."""

collect_ignore = [
    # It reads the pointers of `var/` when it is imported.
    "services/predictor.py",
    # Programs of other environments.
    "benchmarks/serving/clients/programs",
    "benchmarks/serving/peers",
]
