"""`team start`: several agents at once, the first in this terminal and the others in panes beside it."""

import os
import shutil

from synapse.cli.command import AS_JSON, WORKSPACE, Argument, Command, Option
from synapse.cli.launching import NotStarted
from synapse.cli.spawning import around, begin, check_stays, report, saved_or_not
from synapse.cli.starting import of_saved, run
from synapse.client.blocking import Client
from synapse.errors import BadRequest, Refused, SynapseError
from synapse.teams import FORM, member


class Member:
    """One agent of a team, as its specification says it."""

    __slots__ = ("agent", "told", "words")

    def __init__(self, words: "tuple[str, ...]", agent: "str | None", told: "dict[str, object]") -> None:
        self.words = words
        self.agent = agent
        self.told = told


def bare() -> int:
    """`team` alone."""
    raise BadRequest("usage", "Say what: `synapse team start claude codex:tester` starts two agents.")


def start(
    members: "tuple[str, ...]", *, all_new: bool, worktree: bool, headless: bool, workspace: "str | None", as_json: bool
) -> int:
    """Start all of them, or none."""
    team = [told_of(spec, workspace) for spec in members]
    check(team)
    _check_free(team, workspace)
    tree = "" if worktree else None
    here = not (all_new or headless)
    if here and not (os.isatty(0) and os.isatty(1)):
        raise BadRequest("no_terminal", "The first agent takes this terminal, and there is none: give --all-new.")
    place = None if headless else around()
    started: list[dict[str, object]] = []
    try:
        for each in team[1:] if here else team:
            agent, terminal = begin(each.words, each.agent, tree, each.told, place)
            started.append(agent)
            report(agent, terminal, as_json=as_json, quiet=here)
        check_stays(started)
    except (SynapseError, KeyboardInterrupt) as error:
        _undo(started)
        if isinstance(error, NotStarted):
            return error.told(as_json=as_json)
        raise
    if not here:
        return 0
    first = team[0]
    return run(
        first.words, agent=first.agent, worktree=tree, keep=False, headless=False, detach_key=None, no_setup=True,
        no_instructions=False, no_start=False, **first.told,
    )  # fmt: skip


def told_of(spec: str, workspace: "str | None") -> Member:
    """What a specification means."""
    told = member(spec)
    words, agent = saved_or_not((told.profile,), None)
    return Member(
        words,
        agent,
        {"name": told.name, "role": told.role, "skill_set": told.skill_set, "workspace": workspace, "port": told.port},
    )


def check(team: "list[Member]") -> None:
    """Everything that can be known before anybody is started."""
    from synapse.runner.profile import resolve

    taken: set[object] = set()
    for each in team:
        told = {**each.told}
        _, (program, *_) = resolve(of_saved(each.words, each.agent, told))
        if shutil.which(program) is None and not os.path.exists(program):
            raise BadRequest("no_such_program", f"{program}: command not found.")
        for what in ("name", "port"):
            if told[what] and told[what] in taken:
                raise BadRequest("twice", f"Two of them have the {what} {told[what]}: each needs its own.")
            taken.add(told[what])


def _check_free(team: "list[Member]", workspace: "str | None") -> None:
    """Nobody here has one of the names."""
    with Client("", workspace or "") as client:
        there = client.call("agents.list", all=True).get("agents") or []
    assert isinstance(there, list)
    for each in team:
        told = {**each.told}
        of_saved(each.words, each.agent, told)
        if any(told["name"] == agent["name"] for agent in there):
            raise Refused("name_taken", f"'{told['name']}' is here already: nobody was started.")


def _undo(started: "list[dict[str, object]]") -> None:
    """The team is not complete: those that run already are ended again."""
    for agent in started:
        try:
            with Client("", str(agent["workspace"]), start=False) as client:
                client.call("agents.signal", target=agent["key"], action="stop")
        except SynapseError:
            pass  # it has ended by itself


COMMANDS = (
    Command("team", bare, "Several agents at once.", example="synapse team"),
    Command(
        "team start", start, "Start agents: the first in this terminal, the others in panes beside it.",
        Argument("members", help=f"{FORM}; all but the profile (or a saved agent) may be left out.", many=True),
        Option("--all-new", flag=True, help="The first, too, gets a pane of its own."),
        Option("--worktree", "-w", flag=True, help="Each in a git worktree of its own."),
        Option("--headless", flag=True, help="All in the background."), WORKSPACE, AS_JSON,
        example='synapse team start claude codex:tester:"writes tests":developer',
    ),
)  # fmt: skip
