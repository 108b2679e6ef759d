"""Before workers start: pull the models in production, and load each of them once.

A model that cannot be loaded is reported and left out; the start fails only if none can be.

The service never imports the registry; in a checkout it runs the registry as a process. A Bento
serves the models that were packed with it.
"""

import logging
import subprocess
import sys

from msgspec.structs import replace

from contracts.errors import CorruptModel, NothingInProduction
from contracts.integrity import FETCH_AGAIN
from contracts.names import Layout
from contracts.printable import printable
from contracts.process_error import code_of, read_error
from contracts.pull import PullResult
from services.bento.bento_context import is_followed, is_in_bento, model_source
from services.bento.follower_process import start_follower
from services.bento.job_worker_processes import start_job_workers
from services.inference.jsonl_log import check_writable
from services.inference.loader import check_model
from services.inference.model_source import ModelSource
from services.jobs.callbacks import signing_key
from services.serving.load_failures import failure_reason
from services.settings import ServiceSettings

PULL_TIMEOUT_S = 6.0
"""The start does not wait longer for the registry if models were pulled before and production is
followed anyway."""

logger = logging.getLogger("bentoml.slipway")


def prepare(settings: ServiceSettings) -> None:
    """Pull the models that workers will serve, and check that at least one can be served.

    Raises:
        NothingInProduction: there is no model to serve.
        CorruptModel: there are models, and none of them can be served; with every reason.
        InvalidSetting: notifications of jobs could not be signed.
        PlatformError: traffic cannot be logged, or the pull failed and nothing was pulled before.

    """
    check_writable(Layout(settings.var).all_traffic)
    signing_key(settings)
    source = model_source(settings)
    if settings.pull and not is_in_bento():
        _pull(source, settings)
    _check_servable(source)
    if is_followed(settings) and not is_in_bento():
        start_follower()
    start_job_workers(settings.jobs_workers)


def _check_servable(source: ModelSource) -> None:
    """Load each model once; log those that load, and fail if none does.

    What is wrong with a model is logged by the workers, which leave it out.
    """
    reasons = [err.what for err in source.unreadable_pointers().values()]
    loaded = 0
    for pointer in source.pointers():
        try:
            check_model(source.directory(pointer), pointer)
        except Exception as err:  # noqa: BLE001 - however one model fails, the others serve
            reason = failure_reason(err)
            reasons.append(f"{pointer.name} version {pointer.version}: {reason}")
        else:
            loaded += 1
            logger.info("serving %s version %d (%s)", pointer.name, pointer.version, pointer.digest)
    if loaded:
        return
    if not reasons:
        raise NothingInProduction(
            f"{source.models}: expected the pointer of a model, got none",
            remedy="slipway train --all, slipway promote MODEL, slipway pull",
        )
    raise CorruptModel(
        f"{source.models}: expected a model that can be served, got none: "
        + printable("; ".join(reasons)),
        remedy=FETCH_AGAIN,
    )


def _pull(source: ModelSource, settings: ServiceSettings) -> None:
    """Run the registry's pull; if it fails, continue with the models that were pulled before.

    Raises:
        PlatformError: it failed and no model was pulled before, or nothing is in production.

    """
    command = [sys.executable, "-m", "registry", "pull", "--json"]
    timeout_s = PULL_TIMEOUT_S if is_followed(settings) and source.pointers() else None
    try:
        done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False)
    except subprocess.TimeoutExpired:
        logger.warning("pull: not finished within %g s; serving what was pulled before", timeout_s)
        return
    if done.returncode == 0:
        _log(PullResult.read(done.stdout.strip().rpartition(b"\n")[2], "registry pull"))
        return
    report = read_error(done.stderr)
    if report.code != code_of(NothingInProduction) and source.pointers():
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
