"""Copies of a log that is in use."""

import os
from pathlib import Path

import apsw

from synapse.errors import Refused
from synapse.log import schema
from synapse.log.trouble import unreadable

KEPT = 3


def backup(source: apsw.Connection, target: Path) -> None:
    """Copy a whole log, as it is at one moment, to `target`, which is there only when it is complete.

    A log that is there already is replaced; anything else, and the log itself, is refused.
    """
    _may_replace(source, target)
    unfinished = target.with_name(target.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    try:
        copy = apsw.Connection(str(unfinished))
        try:
            with copy.backup("main", source, "main") as copying:
                copying.step(-1)  # one view: the writer goes on, and the copy never starts again
            # Not a WAL: the copy is one file, also on a medium that cannot be written.
            copy.execute("PRAGMA journal_mode = delete").fetchall()
        finally:
            copy.close()
        unfinished.replace(target)
        _sync_folder(target.parent)
    except apsw.Error as error:
        raise unreadable(error, target) from error
    finally:
        unfinished.unlink(missing_ok=True)


def before_upgrade(source: apsw.Connection, path: Path, found: int) -> None:
    """Keep the log as it was in its old format; the newest three of such copies stay."""
    backup(source, path.with_name(f"{path.name}.format-{found}"))
    for old in kept(path)[:-KEPT]:
        old.unlink()


def kept(path: Path) -> list[Path]:
    """The copies that were made before upgrades, oldest first."""
    found = [
        copy for copy in path.parent.glob(f"{path.name}.format-*") if copy.suffix.removeprefix(".format-").isdigit()
    ]
    return sorted(found, key=lambda copy: int(copy.suffix.removeprefix(".format-")))


def _may_replace(source: apsw.Connection, target: Path) -> None:
    if not target.exists():
        return
    refused = Refused("backup_target", f"{target} is there and is not an old backup: choose another name.")
    if target.samefile(source.filename):
        raise refused
    try:
        found = apsw.Connection(str(target), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            ours = schema.setting(found, "application_id") == schema.APPLICATION
        finally:
            found.close()
    except apsw.Error:
        ours = False
    if not ours:
        raise refused


def _sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
