"""Reads the settings files: what each says, what is wrong in it, and what it may not say.

A quick command loads this where there is a file: little more than the parser.
"""

import os
import re
import stat
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from synapse import settings
from synapse.errors import BadRequest
from synapse.settings.declared import LARGEST, declared, find, nearest

DEEPEST, MOST = 8, 50  # tables within each other; complaints about one file


class Value:
    """A setting's value: which scope said so (`default` when none did), in which file or variable."""

    __slots__ = ("_key", "_lines", "scope", "source", "value")

    def __init__(
        self, value: object, scope: str = "default", source: str = "", key: str = "", lines: "_Lines | None" = None
    ) -> None:
        self.value = value
        self.scope = scope
        self.source = source
        self._key = key
        self._lines = lines

    @property
    def line(self) -> int:
        """On which line of the file; 0 when that is not known."""
        return self._lines.number(self._key) if self._lines else 0


class Loaded:
    """What the sources say together, and each scope's own part."""

    __slots__ = ("absent", "problems", "refused", "said", "values")

    def __init__(self, values: dict[str, Value]) -> None:
        self.values = values
        self.said: dict[str, dict[str, Value]] = {}
        self.problems: list[str] = []  # what is wrong
        self.refused: list[str] = []  # what a project's file may not set: it has no effect
        self.absent: list[str] = []  # settings of plugins that are not here: they are kept

    def check(self) -> None:
        """BadRequest when anything is wrong."""
        if self.problems:
            more = len(self.problems) - 1
            also = f" (And {more} more: `synapse config show`.)" if more else ""
            raise BadRequest("bad_settings", f"{self.problems[0]}{also}", problems=self.problems)

    def add(self, scope: str, said: dict[str, Value]) -> None:
        """What a stronger source says."""
        self.said[scope] = said
        self.values |= said


class Wrong(Exception):
    """A file that cannot be read as settings at all; its text says which and why."""


def load(project: str = "", environ: Mapping[str, str] = os.environ) -> Loaded:
    """Everything that the files and the environment say; what is wrong is collected, not raised."""
    loaded = Loaded({setting.key: Value(setting.default) for setting in declared()})
    for scope, path in settings.files(project, environ):
        try:
            text = content(path)
            loaded.add(scope, _said(loaded, scope, path, text))
        except Wrong as error:
            loaded.problems.append(f"{error}.")
    told: dict[str, Value] = {}
    for setting in declared():
        try:
            found = setting.told_by(environ)
        except BadRequest as error:
            loaded.problems.append(error.sentence)
            continue
        if found is not None:
            told[setting.key] = Value(found[1], "env", found[0])
    loaded.add("env", told)
    return loaded


def content(path: str) -> str:
    """The text of a settings file; Wrong when it is none: not there, a device, too large, not UTF-8."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe that somebody put there must not hold us up
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise Wrong(f"{path} is not a file")
        with open(descriptor, "rb") as opened:
            found = opened.read(LARGEST + 1)
    except OSError as error:
        raise Wrong(f"{path} cannot be read: {error.strerror}") from None
    if len(found) > LARGEST:
        raise Wrong(f"{path} is larger than 1 MB: that is no settings file")
    try:
        return found.decode()
    except UnicodeDecodeError as error:
        raise Wrong(f"{path} is not UTF-8 (byte {error.start})") from None


def tables(path: str, text: str) -> dict[str, Any]:
    """The tables of a text; Wrong when it is no TOML."""
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        said = str(error) if isinstance(error, ValueError) else "too deep"
        if found := re.fullmatch(r"(.*) \(at (line \d+, column \d+|end of document)\)", said, re.DOTALL):
            said, at = found.groups()
            if not at.startswith("line"):
                lines = text.rstrip().split("\n")
                at = f"line {len(lines)}, column {len(lines[-1]) + 1}"  # where it stops
            path = f"{path}, {at}"
        raise Wrong(f"{path}: this is no TOML: {said}; `synapse config edit` opens it") from None


def _said(loaded: Loaded, scope: str, path: str, text: str) -> dict[str, Value]:
    """The values that a file may set and has right; the rest goes where it is told."""
    found: dict[str, Value] = {}
    lines = _Lines(text)
    for key, value in _leaves(tables(path, text)):
        if len(loaded.problems) + len(loaded.refused) + len(loaded.absent) >= MOST:
            loaded.problems.append(f"{path}: too much is wrong here to tell it all.")
            break
        try:
            setting = find(key)
        except BadRequest:
            _unknown(loaded, f"{path}{lines.of(key)}", key)
            continue
        if scope != "user" and not setting.project:
            own = settings.file("user")
            loaded.refused.append(
                f"{path}{lines.of(key)}: a project's file may not set '{key}', so it has no effect; put it into {own}."
            )
            continue
        try:
            found[key] = Value(setting.checked(value), scope, path, key, lines)
        except ValueError as error:
            loaded.problems.append(f"{path}{lines.of(key)}: '{key}' is {_short(value)}: it {error}.")
    return found


def _unknown(loaded: Loaded, where: str, key: str) -> None:
    name, _, rest = key.removeprefix("plugins.").partition(".")
    known = any(setting.key.startswith(f"plugins.{name}.") for setting in declared())
    if key.startswith("plugins.") and name and rest and not known:
        loaded.absent.append(f"{where}: {key[:80]!r} is of a plugin that is not here; it is kept.")
    else:
        loaded.problems.append(f"{where}: there is no setting {key[:80]!r}{nearest(key)}")


def _short(value: object) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a table"
    text = repr(value[:60] if isinstance(value, str) else value)
    return text if len(text) <= 40 else f"{text[:40]}…"


def _leaves(table: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, object]]:
    """The keys with values; a table that is empty is one too, unless settings lie in it."""
    for name, value in table.items():
        key = f"{above}{name}"
        if not isinstance(value, dict) or key.count(".") > DEEPEST:
            yield key, value
        elif value or not (key == "plugins" or any(one.key.startswith(f"{key}.") for one in declared())):
            yield from _leaves(value, f"{key}.") if value else ((key, value),)


_HEAD = r"\s*\[\s*([^\[\]#]+?)\s*\]\s*(?:#.*)?$"
_PAIR = r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*="""


class _Lines:
    """On which line a key stands, as far as lines alone tell."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._found: dict[str, int] | None = None

    def number(self, key: str) -> int:
        """The line of a key; 0 when it is not known."""
        if self._found is None:
            self._found = self._look()
        while key:
            if key in self._found:
                return self._found[key]
            key = key.rpartition(".")[0]  # it stands in a table on one line
        return 0

    def of(self, key: str) -> str:
        number = self.number(key)
        return f", line {number}" if number else ""

    def _look(self) -> dict[str, int]:
        import re

        found: dict[str, int] = {}
        table = ""
        for number, line in enumerate(self._text.split("\n"), 1):
            if head := re.match(_HEAD, line):
                table = _plain(head[1])
                found.setdefault(table, number)
            elif pair := re.match(_PAIR, line):
                found.setdefault(f"{table}.{_plain(pair[1])}" if table else _plain(pair[1]), number)
        return found


def _plain(key: str) -> str:
    return ".".join(part.strip().strip("\"'") for part in key.split("."))


def check_text(path: str, text: str, scope: str) -> list[str]:
    """What is wrong in a text that is to be a scope's file, with what it may not set."""
    loaded = Loaded({})
    try:
        _said(loaded, scope, path, text)
    except Wrong as error:
        return [f"{error}."]
    return loaded.problems + loaded.refused
