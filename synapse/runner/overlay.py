"""A program's own configuration folder with some files of ours in front: links to what is there, never a change in it."""

import logging
import os
import shutil
from contextlib import suppress
from pathlib import Path

logger = logging.getLogger(__name__)


class Overlay:
    """A folder at `path` whose entries are links to those of `source`."""

    def __init__(self, path: Path, source: str) -> None:
        self.path = path
        self.source = Path(source)
        self._ours: set[Path] = set()

    @classmethod
    def make(cls, path: Path, source: str) -> "Overlay":
        """Link everything that is in the source; without one the folder is empty."""
        made = cls(path, source)
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        made._link(path, made.source)
        return made

    def make_room(self, path: Path) -> None:
        """A file of ours is to be written there: the links on the way to it become folders."""
        if not path.is_relative_to(self.path):
            return
        self._ours.add(path)
        for part in [*path.relative_to(self.path).parents][-2::-1]:
            folder = self.path / part
            if folder.is_symlink():
                there = folder.resolve()
                folder.unlink()
                folder.mkdir(mode=0o700)
                self._link(folder, there)

    def bring_back(self) -> None:
        """What the program has written beside or in place of a link goes into the source, as if it had been alone."""
        for path in self.path.rglob("*"):
            if path.is_symlink() or path in self._ours or not path.is_file():
                continue
            target = self.source / path.relative_to(self.path)
            try:
                target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                beside = target.with_name(f".{target.name}.{os.getpid()}")
                shutil.copy2(path, beside)
                beside.replace(target.resolve() if target.is_symlink() else target)
            except OSError as error:
                logger.warning("%s cannot be kept: %s", target, error)

    def _link(self, folder: Path, source: Path) -> None:
        with suppress(FileNotFoundError, NotADirectoryError):
            for entry in source.iterdir():
                (folder / entry.name).symlink_to(entry)
