"""The supervisor of the follower: it starts it again, with a pause that grows."""

import sys
import threading
import time
from itertools import pairwise
from pathlib import Path

from services.bento.follower_process import supervise


def test_a_process_that_ends_is_started_again_after_a_growing_pause(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    code = f"import time; open({str(starts)!r}, 'a').write(f'{{time.time()}}\\n')"
    stop = threading.Event()
    command = (sys.executable, "-S", "-c", code)
    thread = threading.Thread(target=supervise, args=(command, stop, 0.2))
    thread.start()
    give_up = time.monotonic() + 60
    while not starts.exists() or len(starts.read_text().splitlines()) < 4:
        assert time.monotonic() < give_up
        time.sleep(0.05)
    stop.set()
    thread.join()
    times = [float(line) for line in starts.read_text().splitlines()[:4]]
    pauses = [after - before for before, after in pairwise(times)]

    for pause, least in zip(pauses, (0.2, 0.4, 0.8), strict=True):
        assert pause >= least


def test_a_command_that_cannot_start_ends_nothing(tmp_path: Path) -> None:
    stop = threading.Event()
    command = (str(tmp_path / "missing"),)
    thread = threading.Thread(target=supervise, args=(command, stop, 0.01))
    thread.start()
    time.sleep(0.1)
    assert thread.is_alive()
    stop.set()
    thread.join()


def test_a_process_starts_in_the_folder_of_its_code(tmp_path: Path) -> None:
    """In a Bento `python -m services.job_worker` finds its package by the working directory."""
    found, stop = tmp_path / "found", threading.Event()
    code = f"import os; open({str(found)!r}, 'w').write(os.getcwd())"
    command = (sys.executable, "-S", "-c", code)
    folder = tmp_path / "src"
    folder.mkdir()
    thread = threading.Thread(
        target=supervise, args=(command, stop, 0.2), kwargs={"folder": folder}
    )
    thread.start()
    give_up = time.monotonic() + 60
    while not found.exists() or not found.read_text():
        assert time.monotonic() < give_up
        time.sleep(0.05)
    stop.set()
    thread.join()

    assert found.read_text() == str(folder)
