"""Every peer that is measured, in order."""

from benchmarks.serving.model_servers import BentoMl, LitServe, Mlflow, MlServer
from benchmarks.serving.peer import Echo, FastApi, Nginx, Peer, Slipway

PEERS: tuple[Peer, ...] = (
    Slipway(),
    Echo(),
    Nginx(),
    FastApi(),
    LitServe(),
    MlServer(),
    BentoMl(),
    Mlflow(),
)
"""In this order they are measured in each round; the ceiling right after us."""


def peer(name: str) -> Peer:
    """The peer of that name."""
    return next(p for p in PEERS if p.name == name)
