"""What plugins add to the command line: commands, and options on commands that are there. Only click's way comes here."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from synapse import settings
from synapse.cli import GROUPS
from synapse.cli.command import Command, Option, declared
from synapse.errors import NotFound, Refused, SynapseError

if TYPE_CHECKING:
    from synapse.hookspecs import Extension
    from synapse.plugins import Plugin


def disabled() -> tuple[str, ...]:
    """The plugins that the user does not want; none where the settings cannot be read: whoever needs them says so."""
    try:
        chosen = settings.value("plugins.disabled")
    except SynapseError:
        return ()
    assert isinstance(chosen, tuple)
    return chosen


@cache
def loaded() -> "tuple[Plugin, ...]":
    """The plugins with what they have for the command line; what is wrong with one is told by `synapse plugins`."""
    from synapse.hookspecs import FOR_COMMANDS
    from synapse.plugins import load

    with quiet():
        found = tuple(load(disabled(), hooks=FOR_COMMANDS))
    taken = set(GROUPS)
    for plugin in found:
        first = {command.name.partition(" ")[0] for command in plugin.commands}
        why = clash(plugin, taken)
        if why:
            plugin.leave_out(why)
        else:
            taken |= first
    return found


def declare_settings() -> None:
    """Make the plugins' settings known; those of one that does not load are kept as they are."""
    _asked("synapse_settings")


def profile(name: str) -> bool:
    """Has a plugin a profile of that name, which neither the user nor the core has? Then its folder is named to runners."""
    folders = [folder for plugin in _asked("synapse_profiles") for folder in plugin.profiles]
    for folder in folders:
        if os.path.isfile(os.path.join(folder, f"{name}.toml")):
            os.environ["SYNAPSE_PROFILES"] = str(folder)
            return True
    return False


@cache
def _asked(hook: str) -> "tuple[Plugin, ...]":
    from synapse.plugins import load

    with quiet():
        return tuple(load(disabled(), hooks=(hook,)))


def clash(plugin: "Plugin", taken: set[str]) -> str:
    """Why what a plugin has for the command line cannot be used; "" when it can. `taken` are the first words in use."""
    names = {command.name for command in plugin.commands}
    for name in sorted(names):
        first, _, below = name.partition(" ")
        if first in taken or first.startswith(("-", "_")) or first == "help":
            return f"there is a command '{first}' already"
        if below and (first not in names or " " in below):
            return f"its command '{name}' needs a command '{name.rpartition(' ')[0]}' above it"
    for extension in plugin.extensions:
        why = _misfit(extension)
        if why:
            return why
    return ""


def _misfit(extension: "Extension") -> str:
    first = extension.command.partition(" ")[0]
    command = next((one for one in declared(first) if one.name == extension.command), None)
    if command is None or first.startswith("_"):
        return f"it has options for '{extension.command}', which is no command of the core"
    there = {name for param in command.params if isinstance(param, Option) for name in param.names}
    there |= {param.parameter for param in command.params if isinstance(param, Option)}
    for option in extension.options:
        if not isinstance(option, Option):
            return f"what it gives '{extension.command}' is no Option"
        if there & {*option.names, option.parameter}:
            return f"'{extension.command}' has {option.names[0]} already"
    return ""


@contextmanager
def quiet() -> Iterator[None]:
    """Without the tracebacks, which are for the hub's log."""
    logger = logging.getLogger("synapse.plugins")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def commands(name: str) -> tuple[Command, ...]:
    """The plugins' commands whose first word this is."""
    return tuple(
        _at_the_hub(plugin.name, command)
        for plugin in loaded()
        for command in plugin.commands
        if command.name.partition(" ")[0] == name
    )


def _at_the_hub(plugin: str, command: Command) -> Command:
    """The command, whose hub may not have its plugin: one that runs takes it up when it starts anew."""

    def run(**values: Any) -> int | None:
        try:
            status: int | None = command.run(**values)  # type: ignore[operator]
        except NotFound as error:
            if error.code != "unknown_verb":
                raise
            sentence = (
                f"The hub has not taken up the plugin '{plugin}': `synapse restart` (`synapse plugins` says more)."
            )
            raise Refused("not_taken_up", sentence) from None
        return status

    return Command(command.name, run, command.help, *command.params, example=command.example)


def names() -> list[str]:
    """The first words of the plugins' commands."""
    return [command.name for plugin in loaded() for command in plugin.commands if " " not in command.name]


def hint(name: str) -> str:
    """Why a command may be missing: a plugin that is disabled, or does not work."""
    if any(plugin.name == name and not plugin.enabled for plugin in loaded()):
        return f" The plugin '{name}' is disabled: `synapse plugins enable {name}`."
    failed = [plugin.name for plugin in loaded() if plugin.failure]
    if failed:
        return f" A plugin does not work ({', '.join(failed)}): `synapse plugins` says why."
    from synapse.cli.installing import stale

    lacking = ", ".join(stale())
    return f" What was installed is not in order ({lacking}): `synapse plugins` says why." if lacking else ""


def extensions(command: str) -> "list[Extension]":
    """What plugins add to a core command."""
    return [extension for plugin in loaded() for extension in plugin.extensions if extension.command == command]


def extended(run: Callable[..., int | None], added: "list[Extension]") -> Callable[..., int | None]:
    """The command's function, which also takes the plugins' options, and gives them to the plugins when it is done."""

    def extended_run(**values: Any) -> int | None:
        given = []
        for extension in added:
            own = {option.parameter: values.pop(option.parameter) for option in extension.options}
            if any(own[option.parameter] != option.default for option in extension.options):
                given.append((extension, own))
        if not given:
            return run(**values)
        with _listening() as replies:
            status = run(**values)
        if replies or not status:
            _tell(given, values, replies[0] if replies else {})
        return status

    return extended_run


def _tell(given: "list[tuple[Extension, dict[str, Any]]]", values: dict[str, Any], reply: dict[str, Any]) -> None:
    from synapse.client.blocking import Client

    with Client(values.get("sender") or "", values.get("workspace") or "", start=False) as client:
        for extension, own in given:
            extension.after(client, own, reply)


@contextmanager
def _listening() -> Iterator[list[dict[str, Any]]]:
    """The replies to what a command changes, while it runs: this process is there for one command."""
    from synapse.client.blocking import Client

    replies: list[dict[str, Any]] = []
    original = Client.change

    def change(self: Client, verb: str, **params: object) -> dict[str, object]:
        reply = original(self, verb, **params)
        replies.append(reply)
        return reply

    setattr(Client, "change", change)  # noqa: B010 - mypy knows that it is a method
    try:
        yield replies
    finally:
        setattr(Client, "change", original)  # noqa: B010
