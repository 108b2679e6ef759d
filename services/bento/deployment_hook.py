"""Before workers start: pull the Production models, and try every model once.

The registry is another room and never imported here; where it is (a checkout) it runs as a
process. A Bento serves the models that are frozen in it.
"""

import logging
import subprocess
import sys

from contracts.errors import NotRegistered, PlatformError
from contracts.names import Layout
from services.inference.loader import find_pointers, is_in_bento, load, models_layout
from services.inference.traffic_log import check_writable
from services.settings import ServiceSettings

PULL_LIMIT_S = 6.0
"""Where models were pulled before and Production is followed anyway, the start does not wait
longer for the registry."""

logger = logging.getLogger("bentoml.slipway")


def prepare(settings: ServiceSettings) -> None:
    """Make ready what workers will serve.

    Raises:
        PlatformError: nothing can be served, with what to do.

    """
    check_writable(Layout(settings.var).var / "traffic")
    layout = models_layout(settings)
    if settings.pull and not is_in_bento():
        _pull(layout, settings)
    pointers = find_pointers(layout)
    if not pointers:
        raise NotRegistered(
            f"{layout.var / 'models'}: expected the pointer of a model, got none",
            remedy="slipway train --all, slipway promote MODEL, slipway pull",
        )
    for pointer in pointers:
        load(layout, pointer)
        logger.info("serving %s version %d (%s)", pointer.name, pointer.version, pointer.digest)
    if is_followed(settings) and not is_in_bento():
        # It ends with this process; nobody waits for it.
        subprocess.Popen([sys.executable, "-m", "registry", "follow"], stdin=subprocess.DEVNULL)


def is_followed(settings: ServiceSettings) -> bool:
    """Whether workers watch the pointers while they serve."""
    if settings.follow == "auto":
        return settings.pull and not is_in_bento()
    return settings.follow == "on"


def _pull(layout: Layout, settings: ServiceSettings) -> None:
    """Run the registry's pull; where it fails, the models that were pulled before serve on.

    Raises:
        PlatformError: it fails and there are none, or nothing is in Production.

    """
    words = [sys.executable, "-m", "registry", "pull"]
    limit_s = PULL_LIMIT_S if is_followed(settings) and find_pointers(layout) else None
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        logger.warning("pull: no end within %g s; serving what was pulled before", limit_s)
        return
    for line in done.stdout.splitlines():
        logger.log(logging.WARNING if line.startswith("refused") else logging.INFO, "%s", line)
    if done.returncode == 0:
        return
    text = done.stderr.strip().rpartition("error: ")[2]
    what, _, remedy = text.partition("\nhelp: ")
    if done.returncode != NotRegistered.exit_code and find_pointers(layout):
        logger.warning("%s; serving the models that were pulled before", what)
        return
    raise PlatformError(f"{what or 'python -m registry pull failed'}", remedy=remedy)
