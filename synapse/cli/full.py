"""The whole command line by click: help, mistakes, completion, and every command that is not a quick one."""

from typing import Any

import rich_click as click

from synapse import __version__
from synapse.cli import GROUPS
from synapse.cli.command import Argument, Command, Option
from synapse.cli.errors import guarded


class Lazy(click.RichGroup):
    """Loads the file of a command when it is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(GROUPS)

    def get_command(self, ctx: Any, name: str) -> Any:
        found = find(name)
        return None if found is None else build(found)


def find(name: str) -> Command | None:
    """The declaration of a command."""
    if name not in GROUPS:
        return None
    module = __import__(f"synapse.cli.{GROUPS[name]}", fromlist=["COMMANDS"])
    commands: tuple[Command, ...] = module.COMMANDS
    return next(command for command in commands if command.name == name)


def build(command: Command) -> click.Command:
    """A click command from a declaration."""
    rest = any(isinstance(param, Argument) and param.rest for param in command.params)

    def callback(**values: Any) -> None:
        raise SystemExit(guarded(command.run, values))

    return click.RichCommand(
        name=command.name,
        params=[_param(param) for param in command.params],
        callback=callback,
        help=f"{command.help}\n\n**Example**: `{command.example}`",
        context_settings={"ignore_unknown_options": rest, "allow_interspersed_args": not rest},
    )


def _param(param: Option | Argument) -> click.Parameter:
    if isinstance(param, Argument):
        kind = click.UNPROCESSED if param.rest else click.STRING
        return click.Argument([param.name], required=param.required, nargs=-1 if param.many else 1, type=kind)
    if param.flag:
        return click.Option([*param.names, param.parameter], is_flag=True, default=False, help=param.help)
    value: Any = click.Choice(param.choices) if param.choices else param.kind
    shown = param.default is not None and param.default != ""
    return click.Option(
        [*param.names, param.parameter], type=value, default=param.default, show_default=shown, help=param.help,
        metavar=param.metavar or None,
    )  # fmt: skip


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.rich_config(help_config=click.RichHelpConfiguration(text_markup="markdown"))
@click.version_option(__version__, prog_name="synapse")
def synapse() -> None:
    """A team of command-line coding agents: `synapse run claude` is `claude`, plus a name and an address."""


def run(words: list[str]) -> int:
    """Run one command line; its exit status."""
    try:
        synapse.main(args=words, prog_name="synapse", standalone_mode=True)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0
