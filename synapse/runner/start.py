"""What a program gets at its start so that it reports: arguments, environment, and files in a folder of the agent's own."""

import logging
import os
import re
import shlex
import shutil
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from synapse import paths
from synapse.client import hook, permit
from synapse.client.lines import dumps
from synapse.runner import overlay
from synapse.runner.filling import fill, where
from synapse.runner.jsonfile import merged, read_json
from synapse.runner.parts import File, Start, Words
from synapse.runner.who import start_of

logger = logging.getLogger(__name__)

HOOK_SOCKET = hook.ENVIRONMENT
_QUOTED = (".json", ".jsonc", ".toml", ".js", ".mjs", ".ts")  # in them values stand within double quotes
_OWNER = ".runner"


@dataclass(frozen=True, slots=True)
class Prepared:
    """What to start; `folder` is to be cleared at the end. `values` are those of the placeholders."""

    argv: list[str]
    env: dict[str, str]
    folder: Path
    values: dict[str, str]
    overlays: tuple[overlay.Overlay, ...] = ()
    active: bool = False  # it was given what the profile starts it with

    def clear(self) -> None:
        """Take the private folder away; what the program wrote into an overlaid one goes where it belongs."""
        for one in self.overlays:
            one.bring_back()
        shutil.rmtree(self.folder, ignore_errors=True)


def prepare(
    start: Start, argv: list[str], own: int, *, cwd: str, data: str, key: str, env: Mapping[str, str]
) -> Prepared:
    """Write the files, and say what to start. The person's words begin at `own` in `argv`.

    `key` names the folder: it is the agent's.
    """
    home = env.get("HOME") or os.path.expanduser("~")
    folder = Path(data) / "run" / "agents" / key
    given = argv[own:]
    if _given(given, start.unless):
        return Prepared(argv, {}, folder, {"cwd": cwd, "home": home, "folder": str(folder)})
    values = _values(folder, cwd, home, start)
    if not (start.files or start.overlays or start.env or start.args):
        return Prepared(argv, {}, folder, values, active=True)
    _make(folder)
    filled = {name: fill(text, values) for name, text in start.overlays.items()}
    overlays = tuple(overlay.Overlay.make(folder / name, where(text, env)) for name, text in filled.items())
    for name, file in start.files.items():
        for one in overlays:
            one.make_room(folder / name)
        given = _write(folder / name, file, values, given, cwd, env)
    args = [words for words in start.args if not _ruled_out(words, given, cwd, env)]
    for words in args:
        if words.record:
            values["record"] = fill(words.record, values)
    more = [fill(word, values) for words in args for word in words.words]
    added = {name: fill(text, values) for name, text in start.env.items()}
    return Prepared([*argv[:own], *more, *given], added, folder, values, overlays, active=True)


def _values(folder: Path, cwd: str, home: str, start: Start) -> dict[str, str]:
    values = {
        "folder": str(folder),
        "letters": paths.letters_folder(str(folder.parents[2]), folder.name),
        "cwd": cwd,
        "home": home,
        "synapse": shlex.join(paths.program()),
        "hook": shlex.join(hook.command()),
        "hook_list": ", ".join(dumps(word).decode().strip() for word in hook.command()),
        "permit": shlex.join(permit.command()),
        "session": _uuid(),
        "secret": os.urandom(16).hex(),
    }
    if "{letters}" in repr(start):
        paths.make_private(os.path.dirname(values["letters"]))
        paths.make_private(values["letters"])  # some know only folders that are there at their start
    if "{port}" in repr(start):
        values["port"] = str(_free_port())
    return values


def forget_old(data: str) -> None:
    """Take away the folders of runners that died without an end."""
    with os.scandir(_area(data)) as entries:
        for entry in entries:
            try:
                pid, _, start = Path(entry.path, _OWNER).read_text().partition(" ")
                alive = start_of(int(pid)) == start
            except (OSError, ValueError):
                continue  # it is just being made, or just going
            if not alive:
                shutil.rmtree(entry.path, ignore_errors=True)


def _area(data: str) -> str:
    area = os.path.join(data, "run", "agents")
    paths.make_private(area)
    return area


def _make(folder: Path) -> None:
    paths.make_private(str(folder.parent))
    folder.mkdir(mode=0o700, exist_ok=True)
    pid = os.getpid()
    (folder / _OWNER).write_text(f"{pid} {start_of(pid)}")


def _write(
    path: Path, file: File, values: Mapping[str, str], given: list[str], cwd: str, env: Mapping[str, str]
) -> list[str]:
    """Write one file; the person's words without the one that named what is merged into it."""
    text = fill(file.text, values, quoted=path.suffix in _QUOTED)
    for name in file.merge:
        name = fill(name, values)
        theirs, rest = _theirs(name, given, cwd, env)
        if theirs is None:
            continue
        try:
            text, given = merged(text, read_json(theirs)), rest
        except (OSError, ValueError) as error:
            logger.warning("%s is left out, for it cannot be read: %s", name, error)
        break
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)  # a link of an overlay: what it leads to is not ours
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o700 if file.executable else 0o600)
    with open(descriptor, "w", encoding="utf-8") as opened:
        opened.write(text)
    return given


def _theirs(name: str, given: list[str], cwd: str, env: Mapping[str, str]) -> tuple[str | None, list[str]]:
    """What the person has under a flag, `$NAME` or a path: a file's path or JSON itself; and the words without it."""
    if name.startswith("-"):
        for place, word in enumerate(given):
            if word == "--":
                break
            if word == name and place + 1 < len(given):
                return _at(given[place + 1], cwd), given[:place] + given[place + 2 :]
            if word.startswith(f"{name}="):
                return _at(word.partition("=")[2], cwd), given[:place] + given[place + 1 :]
        return None, given
    path = where(name, env)
    return (path if path and os.path.isfile(path) else None), given


def _at(what: str, cwd: str) -> str:
    return what if what.lstrip().startswith("{") else os.path.join(cwd, os.path.expanduser(what))


def _ruled_out(words: Words, given: list[str], cwd: str, env: Mapping[str, str]) -> bool:
    """Has the person ruled that otherwise: in words, in the environment, or in a file?"""
    named = [name for name in words.unless if name.startswith("$")]
    if _given(given, words.unless) or any(env.get(name[1:]) for name in named):
        return True
    return any(_says(path, pattern, cwd, env) for path, pattern in words.unless_in.items())


def _says(name: str, pattern: re.Pattern[str], cwd: str, env: Mapping[str, str]) -> bool:
    """Is it in a file of that name? A relative one may lie in the working folder, or in any above it."""
    place = Path(where(name, env))
    for path in [place] if place.is_absolute() else [folder / place for folder in (Path(cwd), *Path(cwd).parents)]:
        try:
            if pattern.search(path.read_text(encoding="utf-8", errors="replace")):
                return True
        except OSError:
            continue
    return False


def _given(words: list[str], flags: tuple[str, ...]) -> bool:
    """Has the person given one of these words, or `--flag=...`? What stands behind `--` is none."""
    own = words[: words.index("--")] if "--" in words else words
    return any(word == flag or word.startswith(f"{flag}=") for word in own for flag in flags)


def _uuid() -> str:
    """A random UUID (version 4)."""
    raw = bytearray(os.urandom(16))
    raw[6], raw[8] = raw[6] & 0x0F | 0x40, raw[8] & 0x3F | 0x80
    text = raw.hex()
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
