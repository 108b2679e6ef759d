#!/usr/bin/env python3
"""Write the Grafana dashboards that dashboards.toml describes: `deploy/grafana/generate.py`.

With `--check`, write nothing and fail if a file differs from what would be written. Standard
library only: the script runs before anything is installed.
"""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SOURCE = {"type": "prometheus", "uid": "slipway-prometheus"}
"""The data source of provisioning/datasources/prometheus.yml."""
WIDTH, HEIGHT, PANELS_PER_ROW = 8, 8, 3


def rendered(name: str, dashboard: dict[str, Any]) -> str:
    """The JSON text of a dashboard."""
    document = {
        "uid": f"slipway-{name}",
        "title": dashboard["title"],
        "tags": ["slipway"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_model_variable(dashboard["models_of"])]},
        "panels": [_panel(i, panel) for i, panel in enumerate(dashboard["panels"])],
    }
    return json.dumps(document, indent=2) + "\n"


def _model_variable(metric: str) -> dict[str, Any]:
    query = f"label_values({metric}, model)"
    return {
        "name": "model",
        "label": "Model",
        "type": "query",
        "datasource": SOURCE,
        "definition": query,
        "query": {"query": query, "refId": "model"},
        "refresh": 2,
        "includeAll": True,
        "allValue": ".+",
        "multi": True,
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _panel(index: int, panel: dict[str, Any]) -> dict[str, Any]:
    row, column = divmod(index, PANELS_PER_ROW)
    return {
        "id": index + 1,
        "type": "timeseries",
        "title": panel["title"],
        "description": panel["description"],
        "datasource": SOURCE,
        "gridPos": {"h": HEIGHT, "w": WIDTH, "x": column * WIDTH, "y": row * HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel["unit"], "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}},
        "targets": [
            {
                "refId": chr(ord("A") + i),
                "datasource": SOURCE,
                "expr": query["expr"],
                "legendFormat": query["legend"],
            }
            for i, query in enumerate(panel["queries"])
        ],
    }


def main(arguments: list[str]) -> int:
    """Write or check every dashboard; returns the exit code."""
    folder, is_stale = HERE / "dashboards", False
    for name, dashboard in tomllib.loads((HERE / "dashboards.toml").read_text()).items():
        path, text = folder / f"{name}.json", rendered(name, dashboard)
        if arguments != ["--check"]:
            folder.mkdir(exist_ok=True)
            path.write_text(text)
        elif not path.exists() or path.read_text() != text:
            is_stale = True
            sys.stderr.write(f"error: {path}: expected what generate.py writes, got another text\n")
    if is_stale:
        sys.stderr.write("help: run deploy/grafana/generate.py and commit the result\n")
    return int(is_stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
