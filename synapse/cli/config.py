"""`config`: what is set, where that comes from, and how to change it. `SYNAPSE_*` and options beat the files."""

import os
from typing import TYPE_CHECKING

from synapse import paths, settings
from synapse.cli.command import AS_JSON, Argument, Command, Option, utf8
from synapse.cli.contributed import declare_settings
from synapse.cli.errors import say
from synapse.cli.table import harmless, table, write
from synapse.client.lines import dumps
from synapse.errors import BadRequest

if TYPE_CHECKING:
    from synapse.settings.reading import Loaded, Value


def here() -> str:
    """The folder of the project that the command runs in."""
    return paths.project(os.getcwd())


def bare(*, scope: "str | None", as_json: bool) -> int:
    """The form, in a terminal; with an option the same as `config show`."""
    if scope or as_json:
        return show(scope=scope, as_json=as_json)
    from synapse.cli.form import fill_in

    return fill_in()


def show(*, scope: "str | None", as_json: bool) -> int:
    """Each value with where it comes from; with --scope only what that one says. 1 when a file is wrong."""
    from synapse.settings.reading import load

    declare_settings()
    loaded = load(here())
    values = loaded.said.get(scope, {}) if scope else loaded.values
    if as_json:
        write(dumps(_told(loaded, values)).decode())
        return int(bool(loaded.problems))
    rows = [(key, written(one.value) or "-", one.scope, source_of(one)) for key, one in values.items()]
    if rows:
        write(table(("KEY", "VALUE", "SCOPE", "FROM"), rows, keep=("KEY", "VALUE")))
    else:
        write(f"Nothing is set here{f' by {scope}' if scope else ''}: `synapse config set KEY VALUE` does.\n")
    for sentence in (*loaded.problems, *loaded.refused, *loaded.absent):
        _note(sentence)
    return int(bool(loaded.problems))


def _told(loaded: "Loaded", values: "dict[str, Value]") -> "dict[str, object]":
    return {
        "settings": [
            {
                "key": key, "value": _plain(one.value), "scope": one.scope, "source": one.source, "line": one.line,
                "default": _plain(settings.find(key).default), "help": settings.find(key).help,
                "project": settings.find(key).project,
            }
            for key, one in values.items()
        ],
        "problems": loaded.problems, "refused": loaded.refused, "absent": loaded.absent,
    }  # fmt: skip


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def source_of(one: "Value") -> str:
    """The file with its line, or the variable, that says so."""
    return f"{one.source}:{one.line}" if one.line else one.source


def _note(sentence: str) -> None:
    say(f"synapse: {harmless(sentence, '')}\n".encode("utf-8", "replace"))


def written(value: object) -> str:
    """A value as `config set` takes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(value)
    return "" if value is None else f"{value:g}" if isinstance(value, float) and value < 1e6 else str(value)


def get(key: str, *, as_json: bool) -> int:
    """Print the value that counts here."""
    from synapse.settings.reading import load

    declare_settings()
    settings.find(key)
    loaded = load(here())
    loaded.check()
    one = loaded.values[key]
    said = {"key": key, "value": _plain(one.value), "scope": one.scope, "source": one.source, "line": one.line}
    write(dumps(said).decode() if as_json else f"{written(one.value)}\n")
    return 0


def set_(key: str, value: str, *, scope: str) -> int:
    """Write a value into a scope's file."""
    from synapse.settings import writing
    from synapse.settings.reading import load

    declare_settings()
    setting = settings.find(key)
    try:
        typed = setting.of_text(utf8(value, "The value"))
    except ValueError as error:
        raise BadRequest("bad_setting", f"'{key}' {error}, not {value[:40]!r}.") from None
    writing.may_say(key, scope)
    path = writing.place(scope, here())
    writing.put(path, {key: typed})
    write(f"{key} = {written(typed)} ({path})\n")
    counts = load(here()).values[key]
    if counts.scope != scope:
        _note(f"it does not count here: {source_of(counts)} says {written(counts.value)!r} and is stronger.")
    return 0


def unset(key: str, *, scope: str) -> int:
    """Take a key out of a scope's file."""
    from synapse.settings import writing

    path = writing.place(scope, here())
    writing.drop(path, key)
    write(f"{key} is not set any more ({path})\n")
    return 0


def edit(*, scope: str) -> int:
    """Open a scope's file in the person's editor; it takes effect only when nothing is wrong in it."""
    from synapse.cli.editing import edited
    from synapse.settings import writing

    declare_settings()
    path = writing.place(scope, here())
    write(f"{path} is {'saved' if edited(path, scope) else 'as it was'}\n")
    return 0


def import_(file: str, *, scope: str, as_json: bool) -> int:
    """Take over an old settings.json, as far as its settings are known here."""
    from synapse.cli.importing import known
    from synapse.settings import writing

    declare_settings()
    found, unknown = known(file)
    for key in [key for key in found if scope != "user" and not settings.find(key).project]:
        unknown.append(f"{key}: a project's file may not set it")
        del found[key]
    path = writing.place(scope, here())
    if found:
        writing.put(path, found)
    if as_json:
        taken = {key: _plain(value) for key, value in found.items()}
        write(dumps({"file": path, "imported": taken, "left": unknown}).decode())
    else:
        write("".join(f"{key} = {written(value)}\n" for key, value in found.items()))
        write(f"{len(found)} settings are in {path}\n" if found else f"Nothing in {file} is a setting here.\n")
        for sentence in unknown:
            _note(f"left out: {sentence}.")
    return 0


FILES = Option("--scope", default="user", choices=settings.SCOPES, help="Whose file: yours, or this project's.")
SHOWN = Option("--scope", choices=(*settings.SCOPES, "env"), help="Only what this one says.")
KEY = Argument("key", help="The setting, as `hub.port`.")

COMMANDS = (
    Command(
        "config", bare, "Change settings in a form (in a terminal); with an option, the same as `config show`.", SHOWN,
        AS_JSON, example="synapse config",
    ),
    Command(
        "config show", show, "What is set, and where that comes from.", SHOWN, AS_JSON,
        example="synapse config show --scope user",
    ),
    Command("config get", get, "Print the value that counts here.", KEY, AS_JSON, example="synapse config get a2a.flow"),
    Command(
        "config set", set_, "Write a value into a settings file; comments stay.", KEY,
        Argument("value", help="The value; of a list, its items with commas between."), FILES,
        example="synapse config set a2a.flow roundtrip --scope project",
    ),
    Command(
        "config unset", unset, "Take a value out of a settings file.", KEY, FILES, example="synapse config unset a2a.flow",
    ),
    Command(
        "config edit", edit, "Open a settings file in $EDITOR; it counts when it is right.", FILES,
        example="synapse config edit --scope project",
    ),
    Command(
        "config import", import_, "Take over an old settings.json.",
        Argument("file", help="The old file."), FILES, AS_JSON, example="synapse config import .synapse/settings.json",
    ),
)  # fmt: skip
