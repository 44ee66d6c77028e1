"""Writes the settings files: comments and order stay, a reader sees the old file or the new one, writers take turns."""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any

import tomlkit
import tomlkit.exceptions

from synapse import settings
from synapse.errors import BadRequest, NotFound, Refused
from synapse.settings.declared import find
from synapse.settings.reading import Wrong, content, tables

Document = tomlkit.TOMLDocument


def place(scope: str, project: str) -> str:
    """The file that a scope's settings are written to, behind links; Refused when a project's lies outside of it.

    People keep their own settings elsewhere and link to them; a cloned repository's link must not lead us anywhere.
    """
    path = settings.file(scope, project)
    real = os.path.realpath(path)
    if scope != "user" and os.path.commonpath((real, os.path.realpath(project))) != os.path.realpath(project):
        raise Refused("outside_project", f"{path} leads out of the project, to {real}: it is not written.")
    return real


def may_say(key: str, scope: str) -> None:
    """Refused when a scope's file may not set a key; BadRequest when there is no such key."""
    if scope != "user" and not find(key).project:
        raise Refused(
            "not_for_projects",
            f"A project's file may not set '{key}': leave out --scope {scope}; it is yours to choose.",
        )


def put(path: str, values: dict[str, object]) -> None:
    """Set keys in a file, which is made when it is not there."""

    def change(document: Document) -> None:
        for key, value in values.items():
            _put(document, key, value, path)

    _changed(path, change)


def member(path: str, key: str, name: str, *, there: bool) -> bool:
    """Put a name into a file's list, or take it out; was it otherwise? Of two who do so at once neither loses its own."""
    found = []

    def change(document: Document) -> None:
        table: object = document
        for part in key.split("."):
            table = table.get(part) if isinstance(table, MutableMapping) else None
        names = [str(one) for one in table] if isinstance(table, list) else []
        if (name in names) != there:
            others = [one for one in names if one != name]
            _put(document, key, [*others, name] if there else others, path)
            found.append(name)

    _changed(path, change)
    return bool(found)


def drop(path: str, key: str) -> None:
    """Take a key out of a file; NotFound when it is not in there."""

    def change(document: Document) -> None:
        *above, last = key.split(".")
        table: MutableMapping[str, Any] | None = document
        for name in above:
            inner = table.get(name) if table is not None else None
            table = inner if isinstance(inner, MutableMapping) else None
        if table is None or last not in table:
            raise NotFound("not_set", f"{path} does not set {key[:80]!r}.")
        del table[last]

    if not os.path.exists(path):
        raise NotFound("not_set", f"{path} does not set {key[:80]!r}: there is no such file.")
    _changed(path, change)


def replace(path: str, text: str, expected: "str | None") -> None:
    """Write a whole file if it still is what the caller has seen (None: it was not there); Refused when it is not."""
    with _turn(path):
        if _now(path) != expected:
            raise Refused("changed_meanwhile", f"{path} has been changed or made by somebody else meanwhile.")
        _write(path, text)


def remove(path: str) -> str:
    """Take a file away and keep it as `.old` beside it; the path of that."""
    old = f"{path}.old"
    with _turn(path):
        try:
            os.replace(path, old)
        except FileNotFoundError:
            raise NotFound("no_settings", f"There is no {path}.") from None
        except OSError as error:
            raise _cannot(path, error) from None
    return old


def _put(document: Document, key: str, value: object, path: str) -> None:
    *above, last = key.split(".")
    table: MutableMapping[str, Any] = document
    for name in above:
        if name not in table:
            table[name] = tomlkit.table()
        table = table[name]
        if not isinstance(table, MutableMapping):
            raise BadRequest("bad_settings", f"{path}: '{name}' must be a table, [{name}]: `synapse config edit`.")
    table[last] = list(value) if isinstance(value, tuple) else value


def _changed(path: str, change: Callable[[Document], None]) -> None:
    with _turn(path):
        text = _now(path) or ""
        try:
            tables(path, text)  # says better than tomlkit what is wrong, and where
            document = tomlkit.parse(text)
        except Wrong as error:
            raise BadRequest("bad_settings", f"{error}.") from None
        except (tomlkit.exceptions.TOMLKitError, ValueError, RecursionError) as error:
            raise BadRequest("bad_settings", f"{path} is no TOML: {error}. `synapse config edit` opens it.") from None
        change(document)
        new = tomlkit.dumps(document)
        if new != text:
            _write(path, new if new.endswith("\n") or not new else f"{new}\n")


def _now(path: str) -> "str | None":
    if not os.path.lexists(path):
        return None
    try:
        return content(path)
    except Wrong as error:
        raise BadRequest("bad_settings", f"{error}.") from None


@contextlib.contextmanager
def _turn(path: str) -> Iterator[None]:
    """One writer at a time in a folder, which is made when it is not there: the user's own is nobody else's to see."""
    folder = os.path.dirname(path)
    try:
        os.makedirs(folder, mode=0o700 if _own(path) else 0o777, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _cannot(path, error) from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _own(path: str) -> bool:
    return path == os.path.realpath(settings.file("user"))


def _write(path: str, text: str) -> None:
    """The whole file at once, on the disk before it has its name."""
    folder = os.path.dirname(path)
    try:
        descriptor, new = tempfile.mkstemp(prefix=".settings-", dir=folder)  # 0600
    except OSError as error:
        raise _cannot(path, error) from None
    try:
        with open(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        if not _own(path):
            os.chmod(new, _mode(path))
        os.replace(new, path)
    except OSError as error:
        raise _cannot(path, error) from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)


def _mode(path: str) -> int:
    """A project's file keeps its rights; a new one gets those of any file of the project."""
    try:
        return os.stat(path).st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0o077)
        os.umask(mask)
        return 0o666 & ~mask


def _cannot(path: str, error: OSError) -> Refused:
    return Refused("cannot_write", f"{path} cannot be written: {error.strerror}.")
