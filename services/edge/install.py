"""Put the edge outside BentoML's middleware, and the wire below it, at the application's start.

BentoML adds middleware inside its own; only at the start-up of the application's lifespan are
all of them in place, and the outermost can be wrapped. That is one attribute of Starlette's,
`middleware_stack`. New connections get their protocol class from one attribute of uvicorn's,
`Config.http_protocol_class`, which is reached through who calls the lifespan. Should either be
gone one day, the edge works where it stands, only slower.
"""

import logging
from collections.abc import Callable

from services.edge import fast_path
from services.edge.application import App, ASGIScope, Edge, Message, Receive, Send

logger = logging.getLogger("bentoml.slipway")

OUTERMOST = "middleware_stack"
"""Starlette's name for what it hands every request to."""


class Hoist:
    """The middleware that BentoML is given; `make_edge` is called once the service is there."""

    def __init__(self, app: App, make_edge: Callable[[App], Edge]) -> None:
        self._app = app
        self._make_edge = make_edge
        self._edge: App | None = None

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Hand on, and hoist the edge at start-up; ASGI's own signature."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, self._hoisting(scope, send))
        elif self._edge is not None:
            await self._edge(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _hoisting(self, scope: ASGIScope, send: Send) -> Send:
        async def send_and_hoist(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._place(scope.get("app"), send)
            await send(message)

        return send_and_hoist

    def _place(self, application: object, send: Send) -> None:
        outermost = getattr(application, OUTERMOST, None)
        if not callable(outermost):
            logger.warning("the edge stays inside BentoML's middleware: requests will be slower")
            self._edge = self._make_edge(self._app)
            return
        edge = self._make_edge(outermost)
        setattr(application, OUTERMOST, edge)
        lifespan = getattr(send, "__self__", None)
        if not fast_path.install(getattr(lifespan, "config", None), edge):
            logger.warning("connections stay uvicorn's own: requests will be slower")
