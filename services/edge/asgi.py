"""The types of ASGI (asgi.readthedocs.io)."""

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

ASGIScope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[ASGIScope, Receive, Send], Awaitable[None]]
Headers = Mapping[bytes, bytes]
"""Request headers by lower-case name."""
