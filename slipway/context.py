"""What commands share: the settings in the environment, the registry, the folders, the user."""

import os
from typing import TYPE_CHECKING

from contracts.names import Layout
from contracts.settings import load_settings

if TYPE_CHECKING:
    from monitoring.settings import MonitoringSettings
    from registry.settings import RegistrySettings
    from registry.store import Store


def registry_settings() -> "RegistrySettings":
    """The settings of the registry.

    Raises:
        InvalidSetting: a variable is unknown or malformed.

    """
    from registry.settings import RegistrySettings

    return load_settings(RegistrySettings, os.environ)


def monitoring_settings() -> "MonitoringSettings":
    """The settings of monitoring.

    Raises:
        InvalidSetting: a variable is unknown or malformed.

    """
    from monitoring.settings import MonitoringSettings

    return load_settings(MonitoringSettings, os.environ)


def store() -> "Store":
    """The MLflow registry.

    Raises:
        RegistryUnreachable: the tracking server does not answer.

    """
    from registry.store import Store

    return Store.open(registry_settings())


def layout() -> Layout:
    """Where models, traffic and reports are on this machine."""
    return Layout(registry_settings().var)


def actor() -> str:
    """The user who runs the command, for the history."""
    return registry_settings().actor
