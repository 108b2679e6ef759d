"""When the follower last asked the registry about every model, as a metric and a sign of life."""

import time

from contracts.files import write_whole
from contracts.names import Layout

HEARTBEAT_FILE = "slipway-follow.prom"
"""With a hyphen, which no model's name has: the monitor writes `<model>.prom` next to it."""
_TEMPLATE = """\
# HELP slipway_follow_last_success_timestamp_seconds When the registry last answered the follower.
# TYPE slipway_follow_last_success_timestamp_seconds gauge
slipway_follow_last_success_timestamp_seconds {:.3f}
"""


def write_heartbeat(layout: Layout) -> None:
    """Write the present time for node_exporter's textfile collector.

    Raises:
        Unwritable: the file cannot be written.

    """
    path = layout.metrics / HEARTBEAT_FILE
    write_whole(path, _TEMPLATE.format(time.time()).encode(), to_disk=False)
