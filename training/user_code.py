"""Errors of a user's own code: which function of which file failed, on which line."""

import traceback
from pathlib import Path

USER_FOLDERS = ("recipes", "features")
"""Folders of `training/` that hold code of users."""


def failed_at(error: BaseException) -> str:
    """The error's type and text, and the file, line and function of the user's code that failed.

    The line is the last one in the user's own folders, else the last one of all.
    """
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).parent.name in USER_FOLDERS]
    text = " ".join(str(error).split()) or "no message"
    if not frames:
        return f"{type(error).__name__}: {text}"
    frame = (ours or frames)[-1]
    where = f"{Path(frame.filename).name}, line {frame.lineno}, in {frame.name}"
    return f"{type(error).__name__}: {text} ({where})"


def failing_step(error: BaseException) -> str:
    """The class of the innermost estimator that raised; empty if none did.

    Estimators are recognized by their methods, so that this module needs no scikit-learn.
    """
    found = ""
    trace = error.__traceback__
    while trace is not None:
        owner = trace.tb_frame.f_locals.get("self")
        if hasattr(owner, "get_params") and hasattr(owner, "fit"):
            found = type(owner).__name__
        trace = trace.tb_next
    return found
