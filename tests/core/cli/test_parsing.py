"""The quick parser and click read the same words alike; every command is declared with what its help needs."""

import shlex
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synapse.cli import GROUPS, HIDDEN, SECTIONS, errors, full, reference
from synapse.cli.command import Argument, Command, Option, Unusual, declared, find, parse

COMMANDS = {command.name: command for command in reference.commands()}
QUICK = {name: command for name, command in COMMANDS.items() if command.quick}


def by_click(command: Command, words: list[str]) -> dict[str, Any]:
    """The parameters as click reads them; UsageError when it refuses them."""
    context = built(command.name).make_context(command.name, list(words))
    return dict(context.params)


def built(name: str) -> click.Command:
    """What click makes of a command, by way of those above it."""
    found: click.Command = full.synapse
    for word in name.split():
        assert isinstance(found, click.Group)
        below = found.get_command(click.Context(found), word)
        assert below is not None
        found = below
    return found


def words_for(command: Command) -> st.SearchStrategy[list[str]]:
    """Command lines that look like ones for this command: its options, their values, and anything else."""
    options = [param for param in command.params if isinstance(param, Option)]
    names = [name for option in options for name in option.names] or ["--json"]
    choices = [choice for option in options for choice in option.choices] or ["info"]
    word = st.one_of(
        st.sampled_from(names),
        st.sampled_from(names).flatmap(lambda name: st.text(max_size=3).map(lambda value: f"{name}={value}")),
        st.sampled_from(choices),
        st.sampled_from(
            ["-", "--", "-5", "0", "1_0", "1e3", "nan", " 7 ", "٣", "", "--help", "-h", "-p3", "---", "-x"]
        ),
        st.text(max_size=8),
    )
    return st.lists(word, max_size=6)


@pytest.mark.parametrize("name", sorted(QUICK))
@given(data=st.data())
def test_what_the_quick_parser_accepts_click_reads_alike(name: str, data: st.DataObject) -> None:
    command = QUICK[name]
    words = data.draw(words_for(command))
    try:
        quick = parse(command, words)
    except Unusual:
        return
    assert _comparable(quick) == _comparable(by_click(command, words))


def _comparable(values: dict[str, Any]) -> dict[str, Any]:
    return {name: repr(value) if isinstance(value, float) else value for name, value in values.items()}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_example_of_a_command_is_a_line_that_it_understands(name: str) -> None:
    command = COMMANDS[name]
    program, *words = shlex.split(command.example)
    found, rest = find(words)
    assert program == "synapse"
    assert found is not None
    assert found.name == command.name
    by_click(command, rest)
    if command.quick and not any(isinstance(param, Argument) and param.rest for param in command.params):
        parse(command, rest)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_commands_help_is_a_sentence_and_says_what_each_word_means(name: str) -> None:
    command = COMMANDS[name]
    assert command.help.endswith(".")
    assert len(command.help) <= 90
    assert all(param.help.strip() for param in command.params)
    with built(name).make_context(name, [], resilient_parsing=True) as context:
        shown = context.get_help()
    assert all(param.names[0] in shown for param in command.params if isinstance(param, Option) and not param.hidden)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_function_of_a_command_takes_just_what_is_declared(name: str) -> None:
    import inspect

    command = COMMANDS[name]
    assert callable(command.run)
    declared_names = {param.parameter if isinstance(param, Option) else param.name for param in command.params}
    taken = {name for name in declared_names if not name.isupper()}  # those are variables: `--url` and its like
    inspect.signature(command.run).bind(**dict.fromkeys(taken))


def test_every_command_has_its_place_in_the_help_and_no_name_is_declared_twice() -> None:
    shown = [name for names in SECTIONS.values() for name in names]
    assert sorted(shown) == sorted(name for name in GROUPS if not name.startswith("_") and name not in HIDDEN)
    assert len(shown) == len(set(shown))
    assert len(COMMANDS) == len(reference.commands())
    assert all(any(command.name == name for command in declared(name)) for name in shown)


def test_a_word_below_a_command_is_found_before_the_command_itself() -> None:
    for words, name, rest in (
        (["inbox"], "inbox", []),
        (["inbox", "read", "m-1"], "inbox read", ["m-1"]),
        (["inbox", "--json"], "inbox", ["--json"]),
        (["send", "read"], "send", ["read"]),
    ):
        found, left = find(words)
        assert found is not None
        assert (found.name, left) == (name, rest)
    assert find([]) == (None, [])
    assert find(["nothing"]) == (None, [])


def test_the_page_of_commands_is_what_the_declarations_say() -> None:
    page = reference.PAGE.read_text()
    assert page == reference.page(page), "run: python -m synapse.cli.reference"


def test_the_page_of_commands_tells_every_exit_status() -> None:
    table = reference.PAGE.read_text().partition("**Exit status.**")[2].partition("\n\n`run` and")[0]
    told = {
        int(line.split("|")[1]) for line in table.splitlines() if line.startswith("| ") and "status" not in line[:9]
    }
    assert told == {value for name, value in vars(errors).items() if name.isupper()}
