"""`run`, `start`: a program gets a terminal, a name and an address."""

import os
from contextlib import contextmanager

from synapse.cli.command import AS_JSON, NO_START, WORKSPACE, Argument, Command, Option
from synapse.cli.launching import NotStarted, detach_key_of, hub_socket, launch, place_here, spec_of
from synapse.client.lines import dumps
from synapse.errors import BadRequest, SynapseError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from synapse.runner.attach import Parting


def run(
    words: "tuple[str, ...]",
    *,
    agent: "str | None",
    worktree: "str | None",
    keep: bool,
    headless: bool,
    detach_key: "str | None",
    no_setup: bool,
    no_instructions: bool,
    **told: object,
) -> int:
    """Start an agent and show it here; it ends with this terminal, unless it is detached or --keep is given."""
    if headless:
        no_start = bool(told.pop("no_start"))
        return start(
            words, agent=agent, worktree=worktree, as_json=False, no_start=no_start, no_instructions=no_instructions,
            **told,
        )  # fmt: skip
    no_start, key = bool(told.pop("no_start")), detach_key_of(detach_key)
    words, worktree = program_behind(words, worktree, agent)
    words = of_saved(words, agent, told)
    if not (no_setup or agent or told["name"]) and _can_ask():
        told.update(_setup(told))
    spec = spec_of(words, **told)
    if not _told_apart(spec, no_instructions=no_instructions, ask=not no_setup):
        return 1
    spec["socket"] = hub_socket(no_start)
    try:
        with in_worktree(spec, worktree):
            started, parting = show(spec, keep, key)
    except NotStarted as error:
        return error.told(as_json=False)
    if parting.reason:
        os.write(2, f"[{parting.reason}; `synapse attach {started['name']}` comes back]\n".encode())
    elif parting.ended == "exited" and parting.status >= 0 and told["name"] and not agent:
        from synapse.cli.saving import offer

        offer(spec)
    if spec.get("worktree") and not parting.reason:
        from synapse.cli.worktree import left

        left(spec, str(started["key"]), ask=parting.ended == "exited")
    from synapse.runner.attach import leave

    return leave(parting.status)


def _told_apart(spec: "dict[str, object]", *, no_instructions: bool, ask: bool) -> bool:
    """Note whether it is to be told who it is; False when the person does not want it started."""
    if not no_instructions and ask:
        from synapse.cli.instructions import agreed

        answer = agreed(spec)
        if answer is None:
            return False
        no_instructions = not answer
    spec["instructions"] = not no_instructions
    return True


def show(spec: "dict[str, object]", keep: bool, key: str) -> "tuple[dict[str, object], Parting]":
    """Start it and look at it here, until it ends or is left: what it is, and how it was parted from."""
    from synapse.runner.attach import attach
    from synapse.runner.queries import PROBE
    from synapse.runner.user_terminal import UserTerminal

    with UserTerminal() as terminal:
        columns, rows = terminal.size()
        probe = terminal.probe(PROBE)
        spec.update(columns=columns, rows=rows, owned=True, keep=keep, probe=probe.answer.decode("latin-1"))
        if probe.cursor:
            spec["cursor"] = list(probe.cursor)
        agent = launch(spec)
        parting = attach(
            str(agent["socket"]), owner=True, detach_key=key, typed=probe.answer, place=place_here(), terminal=terminal
        )
    return agent, parting


def of_saved(words: "tuple[str, ...]", agent: "str | None", told: "dict[str, object]") -> "tuple[str, ...]":
    """The words of a saved agent with those given behind them; what was not said otherwise is as it was saved."""
    if not agent:
        return words
    from synapse.cli.saved import find

    saved = find(agent)
    for name in ("name", "role", "skill_set"):
        told[name] = told[name] or getattr(saved, name)
    return (saved.profile, *saved.arguments, *(words[1:] if words[:1] == ("--",) else words))


def _can_ask() -> bool:
    """Does a person sit at both ends, who has not said that there is nothing to ask?"""
    from synapse.cli.chosen import chosen

    return os.isatty(0) and os.isatty(1) and chosen("setup.ask") is True


def _setup(told: "dict[str, object]") -> "dict[str, object]":
    """Ask once for name, role and skill set; Enter takes a generated name and asks no further."""
    os.write(2, b"Enter alone starts it with a generated name. (--no-setup never asks.)\n")
    answers: dict[str, object] = {}
    for what in ("name", "role", "skill_set"):
        if told.get(what):
            continue
        answers[what] = _asked(what)
        if what == "name" and not answers[what]:
            break
    return answers


def _asked(what: str) -> str:
    from synapse.names import check_name

    while True:
        os.write(2, f"{what.replace('_', ' ').capitalize()}: ".encode())
        line = os.read(0, 4096)
        if not line.endswith(b"\n"):
            raise KeyboardInterrupt  # Ctrl-D: nothing is started
        answer = line.decode("utf-8", "replace").strip()
        try:
            return check_name(answer) if what == "name" and answer else answer
        except BadRequest as error:
            os.write(2, f"{error.sentence}\n".encode())


def program_behind(
    words: "tuple[str, ...]", worktree: "str | None", agent: "str | None"
) -> "tuple[tuple[str, ...], str | None]":
    """The value of --worktree may be left out: what looks like its value is the program, if there is no other."""
    if worktree and not agent and (not words or (words[0].startswith("-") and words[0] != "--")):
        return (worktree, *words), ""
    return words, worktree


@contextmanager
def in_worktree(spec: "dict[str, object]", wanted: "str | None") -> "Iterator[None]":
    """Have the agent start in a worktree, if one is wanted (`""`: a new one); gone again when it does not start."""
    if wanted is None:
        yield
        return
    from synapse.cli import trees
    from synapse.cli.worktree import left

    words, cwd = spec["words"], str(spec["cwd"])
    assert isinstance(words, list)
    tree = trees.make(cwd, wanted, str(spec["name"] or os.path.basename(words[0])))
    inside = os.path.join(tree.path, os.path.relpath(cwd, trees.git(cwd, "rev-parse", "--show-toplevel")))
    spec.update(worktree=tree.path, cwd=os.path.normpath(inside if os.path.isdir(inside) else tree.path))
    try:
        yield
    except (SynapseError, KeyboardInterrupt):
        left(spec, "", ask=False)
        raise


def start(
    words: "tuple[str, ...]",
    *,
    agent: "str | None",
    worktree: "str | None",
    no_start: bool,
    as_json: bool,
    no_instructions: bool,
    **told: object,
) -> int:
    """Start an agent in the background; `synapse attach` shows it."""
    words, worktree = program_behind(words, worktree, agent)
    words = of_saved(words, agent, told)
    spec = {**spec_of(words, **told), "instructions": not no_instructions, "socket": hub_socket(no_start)}
    try:
        with in_worktree(spec, worktree):
            started = launch(spec)
    except NotStarted as error:
        return error.told(as_json=as_json)
    said = f"started {started['name']} ({started['id']}, process {started['pid']})\n"
    os.write(1, dumps(started) if as_json else said.encode())
    return 0


AGENT = (
    Argument("words", help="A profile or a program, and its arguments.", required=False, rest=True),
    Option("--agent", "-A", help="A saved agent (`synapse agents`), by its id or name.", metavar="ID"),
    Option(
        "--worktree",
        "-w",
        optional=True,
        metavar="[NAME]",
        help="In a git worktree of its own, .synapse/worktrees/NAME; without NAME a new one.",
    ),
    Option("--name", help="A name of its own; its mail outlives it."),
    Option("--role", help="What it is for, as text or @file."),
    Option("--skill-set", help="The skills that it gets."),
    WORKSPACE,
    Option("--port", kind=int, help="Its own port."),
    Option("--no-instructions", flag=True, help="Do not tell it who it is and how to reach the others."),
    NO_START,
)

COMMANDS = (
    Command(
        "run", run, "Start an agent and show it in this terminal.", *AGENT,
        Option("--keep", flag=True, help="The agent lives on when this terminal is closed."),
        Option("--headless", flag=True, help="In the background: the same as `start`."),
        Option("--no-setup", flag=True, help="Do not ask for a name, a role and skills."),
        Option(
            "--detach-key",
            help="The key that leaves it running and comes back here; else detach_key, ctrl-\\.",
        ),
        example="synapse run --name alice claude", quick=True,
    ),
    Command(
        "start", start, "Start an agent in the background.", *AGENT, AS_JSON,
        example="synapse start --name bob demo", quick=True,
    ),
)  # fmt: skip
