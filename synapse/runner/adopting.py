"""Descendants stay below the runner, also when their parents have ended: what an agent has started does not pass for a person.

Linux only; elsewhere they become children of the first process.
"""

import ctypes
import os
import sys
from contextlib import suppress

_SET_CHILD_SUBREAPER, _GET_CHILD_SUBREAPER = 36, 37  # prctl(2)


def adopt() -> bool:
    """Whoever among our descendants loses its parent gets us for one, from now on; False where the system cannot."""
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def adopts() -> bool:
    """Does this process do so?"""
    told = ctypes.c_int(0)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_GET_CHILD_SUBREAPER, ctypes.byref(told), 0, 0, 0)
    return bool(told.value)


def bury(own: int) -> None:
    """Take the exit statuses of adopted processes that have ended; that of our own child is left to whoever waits for it."""
    with suppress(ChildProcessError):
        while (found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) and found.si_pid != own:
            os.waitpid(found.si_pid, os.WNOHANG)
