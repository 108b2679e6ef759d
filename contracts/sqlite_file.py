"""Whether a SQLite file below `var/` is sound: the doctor asks, and whoever writes one says so."""

import sqlite3
from contextlib import closing
from pathlib import Path


def damage_of(path: Path) -> str:
    """What SQLite finds wrong with a database file; empty if it is sound."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as err:
        return str(err)
    return "" if found == "ok" else str(found)
