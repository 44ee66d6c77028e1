"""An SQLite VFS that knows what a power cut would leave on the disk.

kill -9 does not try fsync: the system's cache outlives the process. So this VFS passes everything through and notes for
every file what is synced, and of the rest whatever a `Choice` lets survive, in sectors of 512 bytes and single entries
of the folder.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw

from synapse.ids import fingerprint

SECTOR = 512
Choice = Callable[[int], list[bool]]  # for so many pieces not synced, oldest first: which survive


def nothing(pieces: int) -> list[bool]:
    """All that was not synced is lost."""
    return [False] * pieces


def everything(pieces: int) -> list[bool]:
    """The disk had written it all by chance."""
    return [True] * pieces


def prefix(seed: int) -> Choice:
    """The oldest pieces survive, up to one that the seed chooses."""
    return lambda pieces: [number < _draw(seed, 0) % (pieces + 1) for number in range(pieces)]


def scattered(seed: int) -> Choice:
    """Each piece survives or not by itself: disks write in any order."""
    return lambda pieces: [bool(_draw(seed, number) & 1) for number in range(pieces)]


class _Content:
    """What is synced of a file."""

    def __init__(self, synced: bytes) -> None:
        self.synced = synced


class _Piece:
    """Something done that is not synced: to a content, or (`content` None) to the folder."""

    def __init__(self, content: _Content | None, apply: Callable[[bytearray], None], name: str = "") -> None:
        self.content = content
        self.apply = apply
        self.name = name
        self.entry: _Content | None = None  # what the name stands for from now on, when it is the folder's


class PowerCut(apsw.VFS):
    """The VFS; `watch()` is called at every sync, just before and just after it."""

    def __init__(self, name: str) -> None:
        super().__init__(name, base="")
        self.name = name
        self.watch: Callable[[], None] = _nobody
        self.syncs = 0
        self._now: dict[str, _Content] = {}
        self._entries: dict[str, _Content] = {}  # as the folder was synced
        self._pieces: list[_Piece] = []

    def survivors(self, choice: Choice) -> dict[str, bytes]:
        """File name -> content, after a power cut at this moment."""
        entries = dict(self._entries)
        changed: dict[int, bytearray] = {}
        for piece, survives in zip(self._pieces, choice(len(self._pieces)), strict=True):
            if not survives:
                continue
            if piece.content is None:
                _rename(entries, piece)
            else:
                piece.apply(changed.setdefault(id(piece.content), bytearray(piece.content.synced)))
        return {Path(name).name: bytes(changed.get(id(found), found.synced)) for name, found in entries.items()}

    def xOpen(self, name: Any, flags: list[int]) -> "_File":  # noqa: N802 - SQLite's name
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        before = Path(path).read_bytes() if path and Path(path).exists() else None
        file = _File(self, path, name, flags)
        if path and path not in self._now:
            content = self._now[path] = _Content(before or b"")
            if before is None:
                self._name(path, content)
            else:
                self._entries[path] = content
        return file

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - SQLite's name
        super().xDelete(filename, syncdir)
        if self._now.pop(filename, None) is not None:
            self._name(filename, None)
        if syncdir:
            self._sync_folder()

    def write(self, path: str, data: bytes, offset: int) -> None:
        """Note a write, in sectors."""
        start = 0
        while start < len(data):
            end = min(len(data), start + SECTOR - (offset + start) % SECTOR)
            self._pieces.append(_Piece(self._now[path], _writing(data[start:end], offset + start)))
            start = end

    def truncate(self, path: str, size: int) -> None:
        """Note that a file was cut or grew."""
        self._pieces.append(_Piece(self._now[path], _cutting(size)))

    def sync(self, path: str, do: Callable[[], None]) -> None:
        """Make a file durable, and the folder with it where SQLite syncs that too: at a journal or WAL."""
        self.watch()
        do()
        content = self._now[path]
        data = bytearray(content.synced)
        for piece in self._pieces:
            if piece.content is content:
                piece.apply(data)
        content.synced = bytes(data)
        self._pieces = [piece for piece in self._pieces if piece.content is not content]
        if path.endswith(("-wal", "-journal")):
            self._sync_folder()
        self.syncs += 1
        self.watch()

    def _name(self, path: str, content: _Content | None) -> None:
        piece = _Piece(None, _nothing_to_write, path)
        piece.entry = content
        self._pieces.append(piece)

    def _sync_folder(self) -> None:
        for piece in self._pieces:
            if piece.content is None:
                _rename(self._entries, piece)
        self._pieces = [piece for piece in self._pieces if piece.content is not None]


class _File(apsw.VFSFile):
    def __init__(self, disk: PowerCut, path: str, name: Any, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        self._path = path

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802 - SQLite's name
        super().xWrite(data, offset)
        self._disk.write(self._path, bytes(data), offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's name
        super().xTruncate(newsize)
        self._disk.truncate(self._path, newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        self._disk.sync(self._path, lambda: super(_File, self).xSync(flags))


def _draw(seed: int, number: int) -> int:
    return int.from_bytes(fingerprint(f"{seed}:{number}".encode())[:8], "big")


def _rename(entries: dict[str, _Content], piece: _Piece) -> None:
    if piece.entry is None:
        entries.pop(piece.name, None)
    else:
        entries[piece.name] = piece.entry


def _writing(data: bytes, offset: int) -> Callable[[bytearray], None]:
    def apply(file: bytearray) -> None:
        file.extend(bytes(max(0, offset - len(file))))
        file[offset : offset + len(data)] = data

    return apply


def _cutting(size: int) -> Callable[[bytearray], None]:
    def apply(file: bytearray) -> None:
        del file[size:]
        file.extend(bytes(size - len(file)))

    return apply


def _nothing_to_write(file: bytearray) -> None:
    pass


def _nobody() -> None:
    pass
