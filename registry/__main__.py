"""`python -m registry pull|follow`: the processes that the service's deployment hook starts.

With `--json`, a pull prints a `contracts.pull.PullResult`, and a failure ends standard error
with a `contracts.process_error.ProcessError`. Without it, both are text.
"""

import argparse
import contextlib
import os
import sys

from contracts.errors import PlatformError
from contracts.names import Layout
from contracts.printable import log_to_stderr, printable
from contracts.process_error import report_error
from contracts.pull import PullResult
from contracts.settings import load_settings
from registry.follow import Follower
from registry.pull import pull_all
from registry.rollout import Rollout
from registry.settings import RegistrySettings
from registry.store import Store
from registry.trial import service_trial


def main() -> None:
    """Pull the production models, or follow them; exit with the code of an error."""
    parser = argparse.ArgumentParser(prog="python -m registry", description=__doc__)
    parser.add_argument("action", choices=["pull", "follow"])
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    parser.add_argument("--parent", type=int, default=os.getppid(), help="stop with this process")
    arguments = parser.parse_args()
    try:
        loaded = load_settings(RegistrySettings, os.environ)
        if arguments.action == "follow":
            follow(loaded, arguments.parent)
            return
        trial = service_trial(loaded.trial_timeout_s)
        result = pull_all(Store.open(loaded), Layout(loaded.var), trial)
    except PlatformError as err:
        if arguments.json:
            report_error(err)
        else:
            sys.stderr.write(f"error: {err}\n")
        sys.exit(err.exit_code)
    text = result.write().decode() if arguments.json else _text_of(result)
    sys.stdout.write(text + "\n")


def follow(registry_settings: RegistrySettings, parent: int | None) -> None:
    """Follow production while process `parent` is the parent of this one; None: until stopped."""
    log_to_stderr("%(asctime)s [%(levelname)s] [follow] %(message)s")
    follower = Follower(
        open_store=lambda: Store.open(registry_settings),
        layout=Layout(registry_settings.var),
        trial=service_trial(registry_settings.trial_timeout_s),
        poll_s=registry_settings.poll_s,
        rollout=Rollout(Layout(registry_settings.var), registry_settings.canary_hold_s),
    )
    with contextlib.suppress(KeyboardInterrupt):
        follower.follow(parent)


def _text_of(result: PullResult) -> str:
    lines = [f"pulled {p.name} version {p.version} ({p.digest[:12]})" for p in result.pulled]
    lines += [f"refused {printable(refusal)}" for refusal in result.refused]
    lines += [f"removed {name}: nothing is in production" for name in result.removed]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
