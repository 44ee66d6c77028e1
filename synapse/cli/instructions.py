"""`instructions`: what agents are told about working with others, where that stands, and telling it again."""

import os

from synapse import paths
from synapse.cli.command import AS_JSON, COMMON, FROM, WORKSPACE, Argument, Command, Option
from synapse.cli.instruction_texts import fill, text_for, texts
from synapse.cli.table import table, write, write_text
from synapse.client.blocking import Client
from synapse.client.lines import dumps
from synapse.errors import NotFound, Refused, SynapseError, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def show(target: "str | None", *, as_json: bool, sender: "str | None", workspace: "str | None") -> int:
    """Print what an agent (or the agents of a profile) is told; in an agent's terminal, what this one is told."""
    agent = _agent(target or os.environ.get("SYNAPSE_AGENT_ID", ""), sender, workspace)
    folder = str(agent.get("working_dir") or os.getcwd())
    names = tuple(str(agent[key]) for key in ("name", "agent_type") if agent.get(key))
    found = text_for(names, paths.project(folder))
    text = fill(found.read(), agent)
    if as_json:
        write(dumps({"text": text, "file": found.file, "scope": found.scope, "path": found.path}).decode())
    else:
        write_text(text)
    return 0


def bare(*, as_json: bool) -> int:
    """As `instructions show`."""
    return show(None, as_json=as_json, sender=None, workspace=None)


def _agent(target: str, sender: "str | None", workspace: "str | None") -> "dict[str, Any]":
    """An agent as a row of the list; of a profile only its name, of nobody nothing."""
    from synapse.runner.profile import exists

    if not target:
        return {}
    try:
        with Client(sender or "", workspace or "", start=False) as client:
            row = client.call("agents.show", target=target)["agent"]
        assert isinstance(row, dict)
        return row
    except (NotFound, Unavailable):
        if target == os.environ.get("SYNAPSE_AGENT_ID"):  # it may be told who it is without a hub, too
            return {"agent_id": target, "name": os.environ.get("SYNAPSE_AGENT_NAME", "")}
        if exists(target):
            return {"agent_type": target}
        raise


def files(*, as_json: bool) -> int:
    """List the files that count in this folder."""
    rows = [(text.file, text.scope, text.path) for text in texts(paths.project(os.getcwd()))]
    if as_json:
        write(dumps([dict(zip(("file", "scope", "path"), row, strict=True)) for row in rows]).decode())
    else:
        write(table(("FILE", "SCOPE", "PATH"), rows, keep=("FILE",)))
    return 0


def send(
    target: str, *, preview: bool, as_json: bool, sender: "str | None", workspace: "str | None", no_start: bool
) -> int:
    """Tell a running agent once more who it is and how to reach the others, as a note."""
    from synapse.runner.first_words import line

    with Client(sender or "", workspace or "", start=not no_start) as client:
        agent = {} if target == "me" else client.call("agents.show", target=target)["agent"]
        assert isinstance(agent, dict)
        if agent.get("agent_type") in (None, "person", "client", "external"):
            raise Refused("not_an_agent", f"'{target}' is no agent in a terminal: `synapse list` shows them.")
        text = line(str(agent["name"]), str(agent["agent_id"]))
        if preview:
            write(dumps({"to": agent["name"], "text": text}).decode() if as_json else f"{text}\n")
            return 0
        sent = client.change("messages.send", to=agent["key"], text=text, mode="silent")
    write(dumps(sent).decode() if as_json else f"queued for {agent['name']}: {sent['id']}\n")
    return 0


def agreed(spec: "dict[str, Any]") -> "bool | None":
    """Ask whoever starts an agent in a terminal whether it is to be told; None when it is not to be started at all."""
    from synapse.cli.chosen import chosen

    if not (os.isatty(0) and os.isatty(1)) or chosen("approval_mode") != "required" or not _would_tell(spec):
        return True
    name = spec["words"][0]
    who = spec["name"] or f"{name}-PORT"
    text = (
        f'When it is ready, this will be typed into {name}: "You are {who} ... Run `synapse instructions show` ..."\n'
    )
    os.write(2, text.encode())
    while True:
        os.write(2, b"Tell it? [Y/n/s] ")
        answer = os.read(0, 4096)
        if not answer.endswith(b"\n"):
            raise KeyboardInterrupt  # Ctrl-D: nothing is started
        word = answer.decode("utf-8", "replace").strip().lower()
        if word in ("", "y", "yes"):
            return True
        if word in ("s", "skip"):
            return False
        if word in ("n", "no"):
            return None
        os.write(2, b"Y: tell it.  s: start it without.  n: do not start it.\n")


def _would_tell(spec: "dict[str, Any]") -> bool:
    from synapse.runner.first_words import silent
    from synapse.runner.profile import find
    from synapse.runner.spec import Spec

    try:
        profile = find(spec["words"][0])
        return profile is not None and not silent(Spec.of(spec), profile, spec["words"][1:])
    except SynapseError:
        return False  # the runner says what is wrong


_TARGET = Argument("target", help="An agent, or a profile; in an agent's terminal that agent.", required=False)
COMMANDS = (
    Command(
        "instructions", bare, "What agents are told about working with others.", AS_JSON, example="synapse instructions",
    ),
    Command(
        "instructions show", show, "Print what an agent is told.", _TARGET, AS_JSON, FROM, WORKSPACE,
        example="synapse instructions show codex", quick=True,
    ),
    Command(
        "instructions files", files, "List the texts that count in this folder: the project's, yours, the built-in ones.",
        AS_JSON, example="synapse instructions files",
    ),
    Command(
        "instructions send", send, "Tell a running agent once more who it is and how to reach the others.",
        Argument("target", help="Name, id or profile."),
        Option("--preview", flag=True, help="Only print what would be sent."), *COMMON,
        example="synapse instructions send bob --preview",
    ),
)  # fmt: skip
