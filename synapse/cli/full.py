"""The whole command line by click: help, mistakes, completion, and every command that is not a quick one."""

import os
from difflib import get_close_matches
from errno import EBADF, ENOSPC
from typing import Any

import click
import rich_click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from synapse import __version__
from synapse.cli import GROUPS, HIDDEN, SECTIONS, contributed
from synapse.cli.command import Argument, Command, Option, declared, find
from synapse.cli.errors import FAILED, INTERRUPTED, guarded, told
from synapse.errors import BadRequest, Refused

WITH_PLUGINS = "with plugins"  # the core's commands too have their options
_PARTS: list[Any] = [{"name": name, "commands": list(names)} for name, names in SECTIONS.items()]
HELP = rich_click.RichHelpConfiguration(
    text_markup=None,  # plain sentences: the reader of Markdown is a fifth of the time
    command_groups={"synapse": _PARTS},
    width=None,
    max_width=110,
)


class Lazy(rich_click.RichGroup):
    """Loads the file of a command when it is asked for, and plugins when the core does not know enough."""

    _listed = False  # only names and sentences are wanted, not the options

    def list_commands(self, ctx: Any) -> list[str]:
        shown = (name for name in GROUPS if not name.startswith("_") and name not in HIDDEN and declared(name))
        return [*shown, *contributed.names()]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The commands of plugins have a part of their own."""
        names = contributed.names()
        if names:
            HELP.command_groups["synapse"] = [*_PARTS, {"name": "Plugins", "commands": names}]
        self._listed = True
        super().format_help(ctx, formatter)

    def get_command(self, ctx: Any, name: str) -> Any:
        commands = declared(name) if name in GROUPS else contributed.commands(name)
        named = next((command for command in commands if command.name == name), None)
        below = [command for command in commands if command.name.startswith(f"{name} ")]
        if named is None:
            return None
        if self._listed:
            return build(Command(named.name, named.run, named.help, example=named.example))
        if name in GROUPS and ctx.obj is WITH_PLUGINS:
            named, below = _extended(named), [_extended(one) for one in below]
        return group(named, below) if below else build(named)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and self.get_command(ctx, args[0]) is None:
            hint = contributed.hint(args[0]) or _nearest(args[0], self.list_commands(ctx))
            raise click.UsageError(f"There is no command '{args[0]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)


def _extended(command: Command) -> Command:
    """The command with what plugins add to it."""
    added = contributed.extensions(command.name)
    if not added:
        return command
    assert callable(command.run)
    options = [option for extension in added for option in extension.options]
    run = contributed.extended(command.run, added)
    return Command(command.name, run, command.help, *command.params, *options, example=command.example)


class Family(rich_click.RichGroup):
    """A command with others below it; without their names it does what is usual itself."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and self.get_command(ctx, args[0]) is None:
            raise click.UsageError(
                f"There is no '{ctx.command_path} {args[0]}'.{_nearest(args[0], self.commands)}", ctx
            )
        return super().resolve_command(ctx, args)


def _nearest(name: str, names: Any) -> str:
    near = get_close_matches(name, list(names), n=3)
    return f" Did you mean {' or '.join(near)}?" if near else ""


def build(command: Command) -> click.Command:
    """A click command from a declaration."""
    rest = any(isinstance(param, Argument) and param.rest for param in command.params)

    def callback(**values: Any) -> None:
        raise SystemExit(guarded(command.run, values))

    return rich_click.RichCommand(
        name=command.name.rpartition(" ")[2],
        params=[_param(param) for param in command.params],
        callback=callback,
        help=_help(command),
        short_help=command.help,
        context_settings={"ignore_unknown_options": rest, "allow_interspersed_args": not rest},
    )


def group(command: Command, below: list[Command]) -> click.Command:
    """A click group from a declaration and those below it."""

    @click.pass_context
    def callback(ctx: click.Context, /, **values: Any) -> None:
        if ctx.invoked_subcommand is None:
            raise SystemExit(guarded(command.run, values))
        early = [name for name in values if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE]
        if early:
            path = f"{ctx.command_path} {ctx.invoked_subcommand}"
            raise click.UsageError(f"Options of '{path}' come after it: {path} ... --option.", ctx)

    return Family(
        name=command.name,
        params=[_param(param) for param in command.params],
        callback=callback,
        help=_help(command),
        short_help=command.help,
        invoke_without_command=True,
        no_args_is_help=False,
        subcommand_metavar="[COMMAND]",
        commands={one.name.partition(" ")[2]: build(one) for one in below},
    )


def _help(command: Command) -> str:
    return f"{command.help}\n\nExample: {command.example}"


def _param(param: Option | Argument) -> click.Parameter:
    if isinstance(param, Argument):
        kind = click.UNPROCESSED if param.rest else click.STRING
        complete = _targets if param.name == "target" else None
        return rich_click.RichArgument(
            [param.name], required=param.required, nargs=-1 if param.many else 1, type=kind, help=param.help,
            shell_complete=complete,
        )  # fmt: skip
    if param.flag:
        return click.Option(
            [*param.names, param.parameter], is_flag=True, default=False, help=param.help, hidden=param.hidden
        )
    value: Any = click.Choice(param.choices) if param.choices else param.kind
    shown = param.default not in (None, "", ())
    optional: dict[str, Any] = {"is_flag": False, "flag_value": ""} if param.optional else {}
    return click.Option(
        [*param.names, param.parameter], type=value, default=param.default, show_default=shown, help=param.help,
        metavar=param.metavar or None, hidden=param.hidden, multiple=param.many, **optional,
    )  # fmt: skip


def _targets(ctx: Any, param: Any, incomplete: str) -> list[CompletionItem]:
    """Who is here, for the shell's completion."""
    from synapse.client.blocking import Client
    from synapse.errors import SynapseError

    try:
        with Client(start=False) as client:
            found = client.call("agents.who").get("participants") or []
    except SynapseError:
        return []
    assert isinstance(found, list)
    return [CompletionItem(one["name"], help=one["type"]) for one in found if one["name"].startswith(incomplete)]


@click.group(
    cls=Lazy,
    context_settings={"help_option_names": ["-h", "--help"], "rich_help_config": HELP},
    epilog="`synapse help COMMAND` shows one command with its options and an example.\n\n"
    'Completion in the shell: `eval "$(_SYNAPSE_COMPLETE=bash_source synapse)"` (or `zsh_source`, `fish_source`).\n\n'
    "Exit status: 0 done, 1 refused or failed, 2 wrong words, 124 the time was over, 126 a program that cannot be run, "
    "127 none of this name, 130 interrupted.",
)
@click.version_option(__version__, prog_name="synapse")
def synapse() -> None:
    """A team of command-line coding agents: `synapse run claude` is `claude`, plus a name and an address."""


def run(words: list[str]) -> int:
    """Run one command line; its exit status."""
    if not words or words[0] == "help":
        words = [*words[1:], "--help"]
    try:
        return _main(words)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as error:
        return told(BadRequest("usage", _sentence(error)), "--json" in words)
    except click.Abort:
        return INTERRUPTED
    except OSError as error:
        if error.errno not in (ENOSPC, EBADF):
            raise
        return told(Refused("no_output", f"Standard output cannot be written: {error.strerror}."), "--json" in words)


def _main(words: list[str]) -> int:
    """Plugins are loaded for a core command only when it is given an option that it does not know, or to complete one."""
    obj = WITH_PLUGINS if _unknown(words) or "_SYNAPSE_COMPLETE" in os.environ else None
    status: int | None = synapse.main(args=words, prog_name="synapse", standalone_mode=False, obj=obj)
    return status or 0


def _unknown(words: list[str]) -> bool:
    command, rest = find(words)
    params = command.params if command is not None else ()
    known = {name for param in params if isinstance(param, Option) for name in param.names}
    return any(word.startswith("-") and word.partition("=")[0] not in known for word in rest)


def _sentence(error: click.ClickException) -> str:
    said = error.format_message().strip()
    ctx = getattr(error, "ctx", None)
    path = ctx.command_path if ctx is not None else "synapse"
    return f"{said}{'' if said.endswith(('.', '?')) else '.'} See `{path} --help`."
