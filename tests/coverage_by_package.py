"""Print the share of statements that the tests ran, per package and in total.

    python -m tests.coverage_by_package

Reads the file `.coverage` that `pytest --cov` wrote. Processes that tests start are not measured,
so packages that run as servers look worse than they are.
"""

import io
import sys

from coverage import Coverage


def main() -> None:
    """Print one line per package, and the total."""
    measured = Coverage()
    measured.load()
    packages = measured.get_option("run:source")
    for package in packages if isinstance(packages, list) else ():
        print_line(str(package), measured.report(include=[f"{package}/*"], file=io.StringIO()))
    print_line("total", measured.report(file=io.StringIO()))


def print_line(name: str, percent: float) -> None:
    """Print a name and a percentage."""
    sys.stdout.write(f"{name:<12} {percent:5.1f} % of statements\n")


if __name__ == "__main__":
    main()
