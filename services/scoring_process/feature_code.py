"""A team's own feature code: modules of `training.features`, imported from a model directory.

A model directory has the source of each module that its pipeline uses, as `features.<name>.py`.
They are imported under the name that they had in training, from bytes whose digest the manifest
has; no file of the checkout is. Nothing else below `training` can be imported.
"""

import sys
from collections.abc import Mapping, Sequence
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from types import ModuleType

from contracts.names import FEATURE_CODE_PACKAGE, feature_module


class _SourceLoader(InspectLoader):
    """Loads a module from its source, or an empty package where there is none."""

    def __init__(self, name: str, source: bytes | None) -> None:
        self._name = name
        self._source = source

    def get_source(self, fullname: str) -> str:
        del fullname
        return (self._source or b"").decode()

    def is_package(self, fullname: str) -> bool:
        del fullname
        return self._source is None


class FeatureCodeFinder(MetaPathFinder):
    """Finds the modules of `training.features` among the files of a model, and nowhere else."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        modules = {feature_module(name): source for name, source in files.items()}
        self._sources: dict[str, bytes | None] = {
            name: source for name, source in modules.items() if name
        }
        if self._sources:
            root = FEATURE_CODE_PACKAGE.partition(".")[0]
            self._sources |= {root: None, FEATURE_CODE_PACKAGE: None}

    @property
    def modules(self) -> frozenset[str]:
        """The modules that have code."""
        return frozenset(name for name, source in self._sources.items() if source is not None)

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """The module, if it is one of the model; an error for any other below `training`."""
        del path, target
        if fullname in self._sources:
            return spec_from_loader(fullname, _SourceLoader(fullname, self._sources[fullname]))
        if fullname.partition(".")[0] == FEATURE_CODE_PACKAGE.partition(".")[0]:
            raise ModuleNotFoundError(
                f"feature code may import modules of {FEATURE_CODE_PACKAGE} that it was stored "
                f"with, not {fullname}",
                name=fullname,
            )
        return None


def install(files: Mapping[str, bytes]) -> FeatureCodeFinder:
    """Let this process import the feature code among `files` from now on."""
    finder = FeatureCodeFinder(files)
    sys.meta_path.insert(0, finder)
    return finder
