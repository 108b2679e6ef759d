"""Before workers start: pull the Production models, and look at every model once.

The registry is another room and never imported here; where it is (a checkout) it runs as a
process. A Bento serves the models that are frozen in it.
"""

import logging
import subprocess
import sys

from contracts.errors import NotRegistered, PlatformError, RegistryUnreachable
from contracts.names import Layout
from services.models import (
    find_directory,
    find_pointers,
    is_in_bento,
    models_layout,
    verified_manifest,
)
from services.settings import ServiceSettings
from services.traffic import check_writable

logger = logging.getLogger("slipway.services")


def prepare(settings: ServiceSettings) -> None:
    """Make ready what workers will serve.

    Raises:
        PlatformError: nothing can be served, with what to do.

    """
    check_writable(Layout(settings.var).var / "traffic")
    layout = models_layout(settings.var)
    if settings.pull and not is_in_bento():
        _pull(have_models=bool(find_pointers(layout)))
    pointers = find_pointers(layout)
    if not pointers:
        raise NotRegistered(
            f"{layout.var / 'models'}: expected the pointer of a model, got none",
            remedy="slipway train --all, slipway promote MODEL, slipway pull",
        )
    for pointer in pointers:
        verified_manifest(find_directory(layout, pointer), pointer)
        logger.info("serving %s version %d (%s)", pointer.name, pointer.version, pointer.digest)


def _pull(*, have_models: bool) -> None:
    """Run the registry's pull; if only the tracking server is away, old models serve on."""
    words = [sys.executable, "-m", "registry", "pull"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        logger.info("%s", line)
    if done.returncode == 0:
        return
    text = done.stderr.strip().removeprefix("error: ")
    what, _, remedy = text.rpartition("\nhelp: ")
    if have_models and done.returncode == RegistryUnreachable.exit_code:
        logger.warning("%s; serving the models that were pulled before", what or text)
        return
    raise PlatformError(what or text, remedy=remedy)
