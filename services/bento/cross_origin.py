"""BentoML's setting for cross-origin requests: `http.cors` of a service."""

from typing import Any


def cross_origin_options() -> dict[str, Any] | None:
    """The options of Starlette's `CORSMiddleware` that are set; None while `enabled` is false.

    BentoML reads them from the service's configuration, which `BENTOML_CONFIG` and
    `BENTOML_CONFIG_OPTIONS` override. Call it in a worker.
    """
    from bentoml._internal.configuration.containers import BentoMLContainer

    if not BentoMLContainer.http.cors.enabled.get():
        return None
    options = dict(BentoMLContainer.access_control_options.get())
    for name in ("allow_methods", "expose_headers"):
        # BentoML leaves a single name as text, which Starlette would take for a list of letters.
        if isinstance(options.get(name), str):
            options[name] = [options[name]]
    return options
