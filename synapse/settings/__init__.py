"""Settings: what was chosen, by key. Later wins: the user's file, the project's two, `SYNAPSE_*`; options beat them all.

Quick commands import this: nothing heavy here, and nothing is read where no file is.
"""

import os

from synapse.settings.declared import Setting, declare, find

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SCOPES = ("user", "project", "local")  # the files, the later the stronger


def config_folder(environ: "Mapping[str, str]" = os.environ) -> str:
    """Where the user's own files lie."""
    base = environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return os.path.join(base, "synapse")


def file(scope: str, project: str = "", environ: "Mapping[str, str]" = os.environ) -> str:
    """The settings file of a scope; `project` is the project's folder."""
    if scope == "user":
        return os.path.join(config_folder(environ), "settings.toml")
    return os.path.join(project, ".synapse", "settings.local.toml" if scope == "local" else "settings.toml")


def files(project: str = "", environ: "Mapping[str, str]" = os.environ) -> "tuple[tuple[str, str], ...]":
    """The scopes that have a file; without a project's folder only the user's counts."""
    places = ((scope, file(scope, project, environ)) for scope in SCOPES if project or scope == "user")
    return tuple((scope, path) for scope, path in places if os.path.lexists(path))


def value(
    key: str,
    project: str = "",
    environ: "Mapping[str, str]" = os.environ,
    tell: "Callable[[str], object] | None" = None,
) -> object:
    """What was chosen for a key, else its default.

    `tell` hears of what a project's file may not set, which has no effect. BadRequest when anything in a file is wrong.
    """
    setting = find(key)
    found = files(project, environ)
    if not found:
        told = setting.told_by(environ)
        return setting.default if told is None else told[1]
    from synapse.settings.reading import load

    loaded = load(project, environ)
    loaded.check()
    for sentence in loaded.refused if tell else ():
        assert tell is not None
        tell(sentence)
    return loaded.values[key].value


def hub_port(environ: "Mapping[str, str]" = os.environ) -> int:
    """The hub's port. Every command asks for it: a user's file that does not speak of a port is not parsed."""
    setting = find("hub.port")
    told = setting.told_by(environ)
    if told is not None:
        port = told[1]
    elif _speaks_of(b"port", file("user", "", environ)):
        port = value("hub.port", "", environ)
    else:
        port = setting.default
    assert isinstance(port, int)
    return port


def _speaks_of(word: bytes, path: str) -> bool:
    """Could the file set a key of that name? A key in quotes may be written with escapes."""
    from synapse.settings.declared import LARGEST

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    except OSError:
        return True  # whoever reads it says why it cannot be read
    try:
        content = os.read(descriptor, LARGEST)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return word in content or b"\\" in content


__all__ = ["SCOPES", "Setting", "config_folder", "declare", "file", "files", "find", "hub_port", "value"]
