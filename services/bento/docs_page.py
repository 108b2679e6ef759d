"""The docs page: what is served, in place of BentoML's advertisement, and all of its paths."""

from collections.abc import Sequence
from typing import Any

from _bentoml_sdk import Service

from contracts.manifest import Manifest, Pointer
from services.bento.openapi import completed


class DocumentedService(Service):
    """A BentoML service with a text of its own at the head of its docs page."""

    welcome: str = ""
    manifests: Sequence[Manifest] = ()

    @property
    def doc(self) -> str:
        """Markdown for the head of the page."""
        return self.welcome

    @property
    def openapi_spec(self) -> Any:
        """The OpenAPI document behind the page."""
        return completed(super().openapi_spec, self.manifests)


def welcome_text(pointers: Sequence[Pointer], manifests: Sequence[Manifest]) -> str:
    """A line for each model that is served: version, what it answers, how good it was."""
    lines = [
        f"| {p.name} | {p.version} | {m.description or m.task} | {_skill(m)} | `{p.digest[:12]}` |"
        for p, m in zip(pointers, manifests, strict=True)
    ]
    table = [
        "| model | version | what it answers | held-out rows | digest |",
        "|---|---|---|---|---|",
    ]
    return "\n".join(["## What is served", "", *table, *lines, "", _HOW])


_HOW = (
    '`POST /models/{name}/predict` takes one row, `/predict/batch` takes `{"rows": [...]}`; '
    "`GET /models/{name}` tells the schema. What is wrong with a request is told with its path, "
    "what was expected and what came."
)


def _skill(manifest: Manifest) -> str:
    name, metric = next(iter(manifest.metrics.items()), ("", None))
    return f"{name} {metric.value:.3g} ({metric.low:.3g} .. {metric.high:.3g})" if metric else ""
