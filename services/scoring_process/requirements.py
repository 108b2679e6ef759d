"""Whether the libraries that a model needs are installed here."""

from importlib.metadata import PackageNotFoundError, version

from contracts.errors import CorruptModel
from contracts.extras import extra_that_installs
from contracts.scoring import LoadModel

INSTALL = "pip install --require-hashes -r {}"
PIPELINE_LOCK = "requirements/serving-sklearn.txt"


def check_requirements(load: LoadModel) -> None:
    """Check, without an import, that every library is there.

    Raises:
        CorruptModel: one is missing, with the command that installs it.

    """
    for name, wanted in sorted(load.requirements.items()):
        try:
            version(name)
        except PackageNotFoundError as err:
            extra = extra_that_installs(name)
            raise CorruptModel(
                f"{load.directory}: expected {name} {wanted} in this environment, got nothing",
                remedy=INSTALL.format(extra.lock if extra else PIPELINE_LOCK),
            ) from err
