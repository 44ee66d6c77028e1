"""`init` and `reset`: a settings file to begin with, and back to none."""

import os
import sys

from synapse import settings
from synapse.cli.command import AS_JSON, Command, Option
from synapse.cli.config import here
from synapse.cli.contributed import declare_settings
from synapse.cli.errors import say
from synapse.cli.instruction_texts import write_templates
from synapse.cli.table import write
from synapse.client.lines import dumps
from synapse.errors import BadRequest, Refused

_WHOSE = {
    "user": "Your own settings.",
    "project": "The settings of this project, for everybody who works in it: commit this file.",
    "local": "Your own settings in this project: do not commit this file.",
}


def init(*, scope: "str | None", as_json: bool) -> int:
    """Write a settings file in which everything is still a comment."""
    from synapse.settings import writing

    scope = scope or _asked()
    path = writing.place(scope, here())
    try:
        writing.replace(path, template(scope), None)
    except Refused as error:
        if error.code != "changed_meanwhile":
            raise
        raise Refused("there_already", f"{path} is there already: `synapse config edit --scope {scope}`.") from None
    told = write_templates(os.path.join(os.path.dirname(path), "instructions")) if scope != "local" else []
    if as_json:
        write(dumps({"file": path, "scope": scope, "instructions": told}).decode())
    else:
        write(f"{path}: take out a # to choose\n" + "".join(f"{one}: what agents are told\n" for one in told))
    return 0


def _asked() -> str:
    if not sys.stdin.isatty():
        raise BadRequest("no_scope", "Whose settings? Give --scope user or --scope project.")
    while True:
        say(b"Settings for you everywhere (user), or for this project (project)? [user] ")
        line = sys.stdin.readline()
        if not line.endswith("\n"):
            raise KeyboardInterrupt
        answer = line.strip().lower() or "user"
        if answer in settings.SCOPES:
            return answer


def template(scope: str) -> str:
    """A settings file with every key that this scope may set, as comments."""
    import tomlkit

    from synapse.settings.declared import declared

    declare_settings()
    lines = [f"# {_WHOSE[scope]} `synapse config show` lists what counts; docs/settings.md explains.", ""]
    above = None
    for setting in sorted(declared(), key=lambda one: one.key.rpartition(".")[0]):
        if scope != "user" and not setting.project:
            continue
        table, _, name = setting.key.rpartition(".")
        if table != above:
            lines += [*([""] if above is not None else []), *([f"[{table}]"] if table else [])]
            above = table
        usual = setting.default if setting.default is not None else setting.least
        value = tomlkit.item(list(usual) if isinstance(usual, tuple) else usual).as_string()
        lines += [f"# {setting.help}", f"# {name} = {value}"]
    return "\n".join(lines) + "\n"


def reset(*, scope: str, yes: bool, as_json: bool) -> int:
    """Take a settings file away; it is kept beside it as `.old`."""
    from synapse.settings import writing

    path = writing.place(scope, here())
    if not yes and os.path.lexists(path) and not _sure(path):
        return 1
    old = writing.remove(path)
    write(dumps({"file": path, "kept": old}).decode() if as_json else f"{path} is gone; it is kept as {old}\n")
    return 0


def _sure(path: str) -> bool:
    if not sys.stdin.isatty():
        raise Refused("not_asked", "There is no terminal to ask: give --yes.")
    say(f"Take {path} away? [y/N] ".encode("utf-8", "replace"))
    return sys.stdin.readline().strip().lower() in ("y", "yes")


COMMANDS = (
    Command(
        "init", init, "Write a settings file to begin with: every key, as a comment.",
        Option("--scope", choices=settings.SCOPES, help="Whose file: yours, or this project's; else it asks."), AS_JSON,
        example="synapse init --scope user",
    ),
    Command(
        "reset", reset, "Take a settings file away; it is kept beside it as .old.",
        Option("--scope", default="user", choices=settings.SCOPES, help="Whose file: yours, or this project's."),
        Option("--yes", "-y", flag=True, help="Do not ask."), AS_JSON,
        example="synapse reset --scope project --yes",
    ),
)  # fmt: skip
