"""`python -m registry pull|follow`: what the service's deployment hook runs as processes."""

import argparse
import contextlib
import logging
import os
import sys

import msgspec

from contracts import settings
from contracts.errors import PlatformError
from contracts.names import Layout
from registry.follow import Follower
from registry.pull import PullResult, pull_all
from registry.rollout import Rollout
from registry.settings import RegistrySettings
from registry.store import Store
from registry.trial import service_trial


def main() -> None:
    """Pull the Production models, or follow them; exit with the error's code when that fails."""
    parser = argparse.ArgumentParser(prog="python -m registry", description=__doc__)
    parser.add_argument("action", choices=["pull", "follow"])
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    arguments = parser.parse_args()
    try:
        wishes = settings.load(RegistrySettings, os.environ)
        if arguments.action == "follow":
            follow(wishes)
            return
        result = pull_all(Store.open(wishes), Layout(wishes.var), service_trial(wishes.trial_s))
    except PlatformError as err:
        sys.stderr.write(f"error: {err}\n")
        sys.exit(err.exit_code)
    sys.stdout.write(_shown(result, as_json=arguments.json) + "\n")


def follow(wishes: RegistrySettings) -> None:
    """Follow Production until the process that started this one is gone."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s [%(levelname)s] [follow] %(message)s"
    )
    layout = Layout(wishes.var)
    rollout = Rollout(layout, wishes.canary_hold_s)
    trial = service_trial(wishes.trial_s)
    follower = Follower(lambda: Store.open(wishes), layout, trial, wishes.poll_s, rollout)
    with contextlib.suppress(KeyboardInterrupt):
        follower.follow(os.getppid())


def _shown(result: PullResult, *, as_json: bool) -> str:
    if as_json:
        return msgspec.json.encode(result).decode()
    lines = [f"pulled {p.name} version {p.version} ({p.digest[:12]})" for p in result.pulled]
    lines += [f"refused {refusal}" for refusal in result.refused]
    lines += [f"removed {name}: nothing is in production" for name in result.removed]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
