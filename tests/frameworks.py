"""Marks of tests that need an optional framework; CI installs those of `.ci/run`."""

import pytest

from contracts.extras import EXTRAS


def needs(package: str) -> pytest.MarkDecorator:
    """Skip where the extra is not installed, and say how it is installed."""
    extra = EXTRAS[package]
    return pytest.mark.skipif(
        not extra.is_installed, reason=f"{extra.name} is not installed: {extra.install}"
    )
