"""What lies in the data folder beside the log: letters on their way to agents, and the terminals of agents that ended.

All of it touches files: not for the loop.
"""

import logging
import os
from collections.abc import Callable, Collection
from contextlib import suppress

from synapse import paths, settings
from synapse.errors import BadRequest

logger = logging.getLogger(__name__)
HOUR = 3600.0  # seconds that a letter is kept where the settings are wrong
_AGENT, _SCREEN = "a-", ".txt"


def sweep_letters(data: str, now: float) -> int:
    """Take away the letters that are older than `long_message.ttl`; how many."""
    if not data:
        return 0
    try:
        kept = settings.value("long_message.ttl")
        assert isinstance(kept, float)
    except BadRequest as error:
        logger.warning("letters are kept for an hour: %s", error)
        kept = HOUR
    count = 0
    try:
        for folder in _letter_folders(data):
            count += paths.remove_old(folder, now - kept)
            if folder != paths.letters_folder(data):
                _forget(folder, data)
    except OSError as error:
        logger.warning("old letters cannot be taken away: %s", error)
    return count


def _letter_folders(data: str) -> list[str]:
    """Each agent's folder of letters, and that in which these lie."""
    whole = paths.letters_folder(data)
    try:
        with os.scandir(whole) as entries:
            return [whole, *(entry.path for entry in entries if entry.is_dir(follow_symlinks=False))]
    except FileNotFoundError:
        return []  # nothing was ever written there


def _forget(folder: str, data: str) -> None:
    """Take away the empty folder of an agent that is gone; some that live know only what was there at their start."""
    if os.path.exists(os.path.join(data, "run", "agents", os.path.basename(folder))):
        return
    with suppress(OSError):  # something lies in it
        os.rmdir(folder)


def letters_of(data: str, stories: Collection[str], *, dry_run: bool = False) -> int:
    """Take away the letters of these messages, however new they are; how many."""

    def goes(name: str, entry: "os.DirEntry[str]") -> bool:
        return _message(name) in stories and not entry.is_dir(follow_symlinks=False)

    try:
        folders = _letter_folders(data) if data else []
    except OSError as error:
        logger.warning("letters cannot be taken away: %s", error)
        return 0
    return sum(_take(folder, goes, dry_run) for folder in folders)


def screens(data: str, living: Collection[str], until: float, *, dry_run: bool = False) -> int:
    """Take away the terminals of agents that ended up to that time, but of none that lives; how many."""

    def goes(name: str, entry: "os.DirEntry[str]") -> bool:
        key = name.removesuffix(_SCREEN)
        ended = name.startswith(_AGENT) and name.endswith(_SCREEN) and key not in living
        return ended and entry.stat(follow_symlinks=False).st_mtime <= until

    return _take(os.path.join(data, "logs"), goes, dry_run) if data else 0


def _message(name: str) -> str:
    """The id of the message that a letter belongs to: `ID.txt`, or `ID-NUMBER-NAME` of an attachment."""
    return "-".join(name.partition(".")[0].split("-")[:2])


def _take(folder: str, goes: Callable[[str, "os.DirEntry[str]"], bool], dry_run: bool) -> int:
    """Take away (or only count) what fits; what cannot be taken away is logged."""
    count = 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # a runner was quicker
                    if goes(entry.name, entry):
                        if not dry_run:
                            os.unlink(entry.path)
                        count += 1
    except FileNotFoundError:
        pass  # nothing was ever written there
    except OSError as error:
        logger.warning("not everything in %s can be taken away: %s", folder, error)
    return count
