"""When a process started, so that a later one with its number is told apart."""

import subprocess
import sys


def start_of(pid: int) -> str:
    """In the system's own words, the same that the hub finds; "" when it is gone."""
    if sys.platform != "linux":
        done = subprocess.run(
            ["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False, timeout=5
        )
        return done.stdout.strip()
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(") ")[2].split()[19]
    except (OSError, IndexError):
        return ""
