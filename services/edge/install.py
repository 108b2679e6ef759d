"""Installs the edge outside BentoML's middleware, and the fast path below it, at start-up.

BentoML adds middleware inside its own; only when the application's lifespan starts are all of
them in place, so that the outermost can be wrapped. That is Starlette's private attribute
`middleware_stack`. New connections get their protocol class from `http_protocol_class` of uvicorn's
`Config`, which is reached through the sender of the lifespan's messages. If either is missing or
unknown, the ordinary path answers everything, more slowly, with one warning.
"""

import logging
from collections.abc import Callable

from services.edge.application import Edge
from services.edge.asgi import App, ASGIScope, Message, Receive, Send

logger = logging.getLogger("bentoml.slipway")

OUTERMOST = "middleware_stack"
"""Starlette's name for the application that gets every request first."""
TESTED_UVICORN = ("0.54.",)
"""Versions of uvicorn, by prefix, whose protocol class the fast path was tested with."""


class EdgeInstaller:
    """The middleware that BentoML is given; `make_edge` is called once the models are loaded."""

    def __init__(self, app: App, make_edge: Callable[[App], Edge]) -> None:
        self._app = app
        self._make_edge = make_edge
        self._edge: App | None = None

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Pass requests on, and install the edge at start-up, as ASGI defines it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._installing(scope, send))
        elif self._edge is not None:
            await self._edge(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _installing(self, scope: ASGIScope, send: Send) -> Send:
        async def send_and_install(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._install(scope.get("app"), send)
            await send(message)

        return send_and_install

    def _install(self, application: object, send: Send) -> None:
        outermost = getattr(application, OUTERMOST, None)
        if not callable(outermost):
            logger.warning("the edge stays inside BentoML's middleware: requests will be slower")
            self._edge = self._make_edge(self._app)
            return
        edge = self._make_edge(outermost)
        setattr(application, OUTERMOST, edge)
        lifespan = getattr(send, "__self__", None)
        reason = install_fast_path(getattr(lifespan, "config", None), edge)
        if reason:
            logger.warning("no fast path: %s; requests will be slower", reason)


def install_fast_path(config: object, edge: Edge) -> str:
    """Use the fast path for new connections of a uvicorn `Config`; returns why not, or ''."""
    import uvicorn

    if not uvicorn.__version__.startswith(TESTED_UVICORN):
        tested = ", ".join(f"{prefix}x" for prefix in TESTED_UVICORN)
        return f"uvicorn {uvicorn.__version__} is not among the tested versions ({tested})"
    try:
        from services.edge import fast_path, watched_protocol
    except ImportError as err:
        return f"uvicorn's protocol class has moved ({err})"
    if getattr(config, "http_protocol_class", None) is not watched_protocol.UVICORN_PROTOCOL:
        return "the server does not use uvicorn's httptools protocol"
    config.http_protocol_class = fast_path.protocol_factory(edge)  # type: ignore[attr-defined]  # checked above
    return ""
