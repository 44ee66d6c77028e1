"""What SQLite's errors mean for people: a code, and a sentence with the next step."""

from pathlib import Path

import apsw

from synapse.errors import Refused, SynapseError, Unavailable
from synapse.log.base import AppendFailed


def failure(error: apsw.Error, path: Path) -> AppendFailed:
    """An error while writing, as what the writer's owner is told."""
    code, sentence = _explain(error, path)
    return AppendFailed(sentence, code)


def unreadable(error: apsw.Error, path: Path) -> SynapseError:
    """An error while opening or reading."""
    code, sentence = _explain(error, path)
    return (Refused if code in ("read_only", "storage_busy") else Unavailable)(code, sentence, path=str(path))


def damaged(path: Path, what: str) -> Unavailable:
    return Unavailable("corrupt_log", _corrupt(path, what), path=str(path))


def _explain(error: apsw.Error, path: Path) -> tuple[str, str]:
    match error:
        case apsw.FullError():
            return "disk_full", f"The disk that holds {path} is full: free some space there."
        case apsw.NotADBError() | apsw.CorruptError():
            return "corrupt_log", _corrupt(path, str(error))
        case apsw.ReadOnlyError() | apsw.PermissionsError():
            return "read_only", f"{path} cannot be written: check the rights of the file and its folder ({error})."
        case apsw.BusyError() | apsw.LockedError():
            return "storage_busy", f"Another program keeps {path} locked: end it, then try again."
        case apsw.CantOpenError():
            return (
                "storage_unavailable",
                f"{path} cannot be opened: check that its folder is there and yours ({error}).",
            )
        case _:
            return "storage_unavailable", f"{path} cannot be used: {error}. Check the disk and its free space."


def _corrupt(path: Path, what: str) -> str:
    return f"{path} is damaged ({what}): stop synapse, move the file and its -wal aside, and put a backup in its place."
