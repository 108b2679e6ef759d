"""What pytest does not collect: doctests are read from every module of the packages but these."""

from contracts.extras import EXTRAS

collect_ignore = [
    # It reads the pointers of `var/` when it is imported.
    "services/predictor.py",
    # Programs of other environments.
    "benchmarks/serving/clients/programs",
    "benchmarks/serving/peers",
    # It loads its model when it is imported, as a function of Lambda does.
    "benchmarks/aws_lambda/sklearn_handler.py",
]
# A recipe of a framework can be imported only where the framework is installed.
collect_ignore_glob = [
    f"training/recipes/*_{package}.py"
    for package, extra in EXTRAS.items()
    if not extra.is_installed
]
