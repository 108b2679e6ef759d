"""An empty folder for traffic, labels and experiments."""

from pathlib import Path

import pytest

from contracts.names import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path)
