"""Before workers start: pull the Production models, and try every model once.

The registry is never imported here; where it is installed (a checkout) it runs as a process. A
Bento serves the models that are frozen in it.
"""

import logging
import subprocess
import sys

from msgspec.structs import replace

from contracts.errors import NotRegistered
from contracts.names import Layout
from contracts.process_error import code_of, read_error
from contracts.pull import PullResult
from services.inference.jsonl_log import check_writable
from services.inference.loader import find_pointers, is_in_bento, load, models_layout
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
    check_writable(Layout(settings.var).all_traffic)
    layout = models_layout(settings)
    if settings.pull and not is_in_bento():
        _pull(layout, settings)
    pointers = find_pointers(layout)
    if not pointers:
        raise NotRegistered(
            f"{layout.all_models}: expected the pointer of a model, got none",
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
    """Run the registry's pull; where it fails, go on with the models that were pulled before.

    Raises:
        PlatformError: it fails and no model was pulled before, or nothing is in production.

    """
    command = [sys.executable, "-m", "registry", "pull", "--json"]
    limit_s = PULL_LIMIT_S if is_followed(settings) and find_pointers(layout) else None
    try:
        done = subprocess.run(command, capture_output=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired:
        logger.warning("pull: no end within %g s; serving what was pulled before", limit_s)
        return
    if done.returncode == 0:
        _log(PullResult.read(done.stdout.strip().rpartition(b"\n")[2], "registry pull"))
        return
    report = read_error(done.stderr)
    if report.code != code_of(NotRegistered) and find_pointers(layout):
        logger.warning("%s; serving the models that were pulled before", report.message)
        return
    message = report.message or f"python -m registry pull ended with code {done.returncode}"
    raise replace(report, message=message).to_error()


def _log(result: PullResult) -> None:
    for pointer in result.pulled:
        logger.info("pulled %s version %d (%s)", pointer.name, pointer.version, pointer.digest[:12])
    for refusal in result.refused:
        logger.warning("refused %s", refusal)
    for name in result.removed:
        logger.info("removed %s: nothing is in production", name)
