"""The versions of one model that a stream worker scores with: production, and pinned ones.

Production is followed by the pointer below `var/models`, as the service follows it: a version is
loaded while the previous one scores. A message that a worker had in hand when it died keeps the
version that it had there, which is loaded from its model directory, or the predictions that the
dead worker may have published would get a second id.
"""

import asyncio
import hashlib
import logging
from contextlib import suppress

from contracts.errors import NothingInProduction, PlatformError
from contracts.manifest import Manifest, Pointer
from contracts.names import MANIFEST_FILE, Layout
from services.inference.loader import load_model
from services.inference.model_source import ModelSource
from services.inference.scores import never_alone
from services.metrics import Metrics
from services.scoring_process.process import ScoringLimits
from services.serving.endpoint import SingleEndpoint
from services.serving.repository import scoring_limits
from services.settings import ServiceSettings
from services.streams.message import VersionPin

PRODUCTION_POLL_S = 0.5

logger = logging.getLogger("slipway.stream")


class ProductionVersions:
    """The endpoints of one model, by version. Use it in one event loop."""

    def __init__(self, name: str, settings: ServiceSettings, metrics: Metrics) -> None:
        self._name = name
        self._settings = settings
        self._metrics = metrics
        self._layout = Layout(settings.var)
        self._source = ModelSource(self._layout)
        self._limits: ScoringLimits = scoring_limits(settings)
        self._endpoints: dict[VersionPin, SingleEndpoint] = {}
        self._pointer: Pointer | None = None
        self._refused: Pointer | None = None

    async def open(self) -> None:
        """Load the version in production.

        Raises:
            NothingInProduction: no pointer names one.
            PlatformError: it cannot be loaded.

        """
        pointer = await asyncio.to_thread(self._read_pointer)
        self._endpoints[pin_of(pointer)] = await self._load(pointer)
        self._pointer = pointer

    @property
    def current(self) -> VersionPin:
        """The version in production."""
        if self._pointer is None:
            raise RuntimeError("open() comes first")
        return pin_of(self._pointer)

    async def endpoint(self, pin: VersionPin) -> SingleEndpoint:
        """What scores messages with this pin.

        A version whose directory is no longer here is replaced by production, with a warning.
        """
        if pin not in self._endpoints:
            pinned = await self._load_pinned(pin)
            if pinned is None:
                logger.warning(
                    "%s version %d, which had messages in hand, is not whole below %s: scoring "
                    "them with version %d; what was published before has a second prediction id",
                    self._name, pin.version, self._source.models, self.current.version,
                )  # fmt: skip
                return self._endpoints[self.current]
            self._endpoints[pin] = pinned
        return self._endpoints[pin]

    async def release(self) -> None:
        """Close every version but production; call it when nothing is in hand."""
        for pin in self._endpoints.keys() - {self.current}:
            await self._endpoints.pop(pin).retire()

    async def follow(self) -> None:
        """Load what the pointer names, for ever; a version that fails is logged, not served."""
        last_error = ""
        while True:
            await asyncio.sleep(PRODUCTION_POLL_S)
            try:
                await self._poll()
            except (PlatformError, OSError) as err:
                self._metrics.pointer_errors.inc()
                if str(err) != last_error:
                    logger.error(  # noqa: TRY400 - the text names the file
                        "%s; scoring with version %d", err, self.current.version
                    )
                last_error = str(err)
            except Exception:
                logger.exception("production of %s cannot be followed", self._name)
            else:
                last_error = ""

    async def close(self) -> None:
        """Close every version."""
        while self._endpoints:
            await self._endpoints.popitem()[1].close()

    async def _poll(self) -> None:
        pointer = await asyncio.to_thread(self._read_pointer)
        if pin_of(pointer) == self.current or pointer == self._refused:
            return
        if pin_of(pointer) not in self._endpoints:
            try:
                loaded = await self._load(pointer)
            except PlatformError:
                self._refused = pointer
                raise
            self._endpoints[pin_of(pointer)] = loaded
        self._pointer = pointer
        logger.info("production of %s is version %d now", self._name, pointer.version)

    def _read_pointer(self) -> Pointer:
        for pointer in self._source.pointers():
            if pointer.name == self._name:
                return pointer
        unreadable = self._source.unreadable_pointers().get(self._name)
        if unreadable is not None:
            raise unreadable
        raise NothingInProduction(
            f"{self._name}: expected a version in production below {self._source.models}, got none",
            remedy=f"slipway promote {self._name} && slipway pull",
        )

    async def _load(self, pointer: Pointer) -> SingleEndpoint:
        directory = self._source.directory(pointer)
        served = await asyncio.to_thread(load_model, directory, pointer, self._limits)
        run = never_alone(served.session.run)
        return SingleEndpoint(served, self._layout, self._settings, self._metrics, run=run)

    async def _load_pinned(self, pin: VersionPin) -> SingleEndpoint | None:
        """A version that production may no longer name; None if it is not here, or not whole."""
        pointer = await asyncio.to_thread(self._find, pin)
        try:
            return None if pointer is None else await self._load(pointer)
        except PlatformError as err:
            logger.error("%s", err)  # noqa: TRY400 - the text names the file
            return None

    def _find(self, pin: VersionPin) -> Pointer | None:
        """The pointer of a version that production may no longer name."""
        directory = self._layout.model(self._name, pin.version)
        with suppress(OSError, PlatformError):
            data = (directory / MANIFEST_FILE).read_bytes()
            if hashlib.sha256(data).hexdigest() == pin.digest:
                return Pointer(
                    name=self._name,
                    version=pin.version,
                    run_id=Manifest.read(data, str(directory)).run_id,
                    digest=pin.digest,
                    bento_tag="",
                    moved_at="",
                )
        return None


def pin_of(pointer: Pointer) -> VersionPin:
    """The pin of the version that a pointer names."""
    return VersionPin(pointer.version, pointer.digest)
