"""Writes the generated part of docs/commands.md from the declarations: `python -m synapse.cli.reference`."""

from pathlib import Path

from synapse.cli import SECTIONS
from synapse.cli.command import Argument, Command, Option, declared

PAGE = Path(__file__).parents[2] / "docs" / "commands.md"
BEGIN, END = "<!-- generated: python -m synapse.cli.reference -->", "<!-- end of the generated part -->"


def commands() -> list[Command]:
    """All that is declared, in the order of the help."""
    return [command for names in SECTIONS.values() for name in names for command in _named(name)]


def _named(name: str) -> list[Command]:
    return [command for command in declared(name) if command.name.split()[0] == name]


def generated() -> str:
    """The part of the page that is made from the declarations."""
    parts = []
    for title, names in SECTIONS.items():
        parts.append(f"## {title}\n")
        parts += [_section(command) for name in names for command in _named(name)]
    return "\n".join(parts)


def _section(command: Command) -> str:
    lines = [f"### synapse {command.name}\n", f"{command.help}\n", "```", f"{usage(command)}", "```\n"]
    arguments = [param for param in command.params if isinstance(param, Argument)]
    options = [param for param in command.params if isinstance(param, Option) and not param.hidden]
    if arguments or options:
        lines += ["| | |", "|---|---|"]
        lines += [f"| `{param.name.upper()}` | {_cell(param.help)} |" for param in arguments]
        lines += [f"| {_spelled(param)} | {_cell(param.help)}{_default(param)} |" for param in options]
        lines.append("")
    return "\n".join([*lines, f"Example: `{command.example}`\n"])


def usage(command: Command) -> str:
    """The line that shows what words a command takes."""
    words = ["synapse", command.name]
    if any(isinstance(param, Option) for param in command.params):
        words.append("[OPTIONS]")
    for param in command.params:
        if isinstance(param, Argument):
            name = f"{param.name.upper()}{'...' if param.many else ''}"
            words.append(name if param.required else f"[{name}]")
    return " ".join(words)


def _spelled(option: Option) -> str:
    value = "" if option.flag else f" {option.metavar or '|'.join(option.choices) or option.kind.__name__.upper()}"
    return ", ".join(f"`{name}{value}`" for name in option.names).replace("|", "\\|")


def _default(option: Option) -> str:
    return "" if option.flag or option.default in (None, "", ()) else f" Default: `{option.default}`."


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def page(old: str) -> str:
    """The page with its generated part made anew."""
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{generated()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
