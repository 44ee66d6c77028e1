"""`attach`, `stop`, `kill`, `rename`: agents in their terminals."""

import os
import sys

from synapse.cli.command import AS_JSON, FROM, WORKSPACE, Argument, Command, Option
from synapse.cli.errors import told
from synapse.cli.launching import detach_key_of, place_here
from synapse.client.blocking import Client
from synapse.client.lines import dumps
from synapse.errors import BadRequest, NotFound, Refused, SynapseError

BACK_WITHIN = 6.0  # seconds for a runner to come back to a hub that was just started


def attach(target: str, *, watch: bool, detach_key: "str | None", fresh: bool, workspace: "str | None") -> int:
    """Show an agent's terminal here; several may look at once. `fresh` drops what was typed before it is shown."""
    import termios

    from synapse.runner.attach import attach as look
    from synapse.runner.attach import leave
    from synapse.runner.user_terminal import UserTerminal

    with Client("", workspace or "", start=False) as client:
        shown = client.call("agents.show", target=target)
    path, agent = str(shown.get("socket", "")), shown["agent"]
    assert isinstance(agent, dict)
    if agent["agent_type"] == "external":
        raise Refused("elsewhere", f"'{target}' runs elsewhere and has no terminal here: `synapse send {target} ...`.")
    if not path:
        raise NotFound("no_terminal", f"'{target}' has no terminal to attach to yet.")
    key, place = detach_key_of(detach_key), place_here()
    with UserTerminal() as terminal:
        if fresh:
            termios.tcflush(terminal.reads, termios.TCIFLUSH)
        parting = look(path, watch=watch, detach_key=key, place=place, terminal=terminal)
    if parting.reason:
        os.write(2, f"[{parting.reason}]\n".encode())
    return leave(parting.status)


def pane(*, socket: str, detach_key: str, name: str) -> int:
    """What runs in a pane that was opened for an agent: as `run`, its terminal's end is the agent's (internal)."""
    from synapse.runner.attach import attach as look
    from synapse.runner.attach import leave

    parting = look(socket, owner=True, detach_key=detach_key, place=place_here())
    if parting.reason:
        os.write(2, f"[{parting.reason}; `synapse attach {name}` comes back]\n".encode())
    return leave(parting.status)


def stop(targets: "tuple[str, ...]", *, workspace: "str | None", as_json: bool) -> int:
    """Ask agents to end, in their own way first."""
    return _end(targets, "stop", workspace, as_json)


def kill(targets: "tuple[str, ...]", *, force: bool, yes: bool, workspace: "str | None", as_json: bool) -> int:
    """End agents: a request, half a minute, SIGTERM, SIGKILL; with --force at once."""
    if not (force or yes):
        if not sys.stdin.isatty():
            raise Refused("not_asked", "There is no terminal to ask: give --yes (or --force).")
        os.write(2, f"End {', '.join(targets)}? [y/N] ".encode())
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            return 1
    return _end(targets, "kill" if force else "stop", workspace, as_json)


def _end(targets: "tuple[str, ...]", action: str, workspace: "str | None", as_json: bool) -> int:
    failed = 0
    with Client("", workspace or "", start=False) as client:
        for target in targets:
            try:
                agent = _signal(client, target, action)
                gone = client.call("agents.wait_gone", key=agent["key"], timeout=50.0)
                failed |= bool(gone.get("pending"))
                said = "is still ending" if gone.get("pending") else "ended"
                os.write(
                    1, dumps({**agent, "gone": not gone.get("pending")}) if as_json else f"{target} {said}\n".encode()
                )
            except SynapseError as error:
                failed = told(error, as_json)
    return int(failed)


def _signal(client: Client, target: str, action: str) -> "dict[str, object]":
    """Ask the agent's runner; one that is on its way back to a new hub is waited for a little."""
    import time

    end = time.monotonic() + BACK_WITHIN
    while True:
        try:
            return client.call("agents.signal", target=target, action=action)
        except SynapseError as error:
            if error.code != "away" or time.monotonic() >= end:
                raise
            time.sleep(0.2)


def rename(
    target: str, name: "str | None", *, clear: bool, as_json: bool, sender: "str | None", workspace: "str | None"
) -> int:
    """Give an agent another name; its mail moves with it."""
    if bool(name) == clear:
        raise BadRequest("no_name", "Give the new name, or --clear.")
    with Client(sender or "", workspace or "", start=False) as client:
        agent = client.change("agents.rename", target=target, name=name or "", clear=clear)
    os.write(1, dumps(agent) if as_json else f"{target} is now {agent['name']} ({agent['id']})\n".encode())
    return 0


def leave(name: str, *, workspace: "str | None", as_json: bool) -> int:
    """End what `--from NAME` began: the name of a plain client is nobody's again."""
    with Client("", workspace or "", start=False) as client:
        agent = client.call("agents.show", target=name)["agent"]
    assert isinstance(agent, dict)
    if agent["agent_type"] != "client":
        raise Refused("not_a_client", f"'{name}' is no plain client: `synapse stop {name}` ends an agent.")
    with Client(str(agent["name"]), str(agent["workspace"]), start=False) as client:
        left = client.change("agents.leave", reason="left", text=f"{agent['name']} left.")
    os.write(1, dumps(left) if as_json else f"{agent['name']} is not here any more\n".encode())
    return 0


def runner(*, ready_fd: int) -> int:
    """The process behind an agent (internal)."""
    from synapse.runner.main import main

    return main(ready_fd)


def demo_agent(words: "tuple[str, ...]") -> int:
    """The bundled demo agent (internal)."""
    from synapse.runner.demo import main

    return main(list(words))


DETACH_KEY = Option(
    "--detach-key", help="The key that leaves it running and comes back here; else detach_key, ctrl-\\."
)
TARGETS = Argument("targets", help="Names, ids or profiles.", many=True)

COMMANDS = (
    Command(
        "attach", attach, "Show an agent's terminal here.", Argument("target", help="Name, id or profile."),
        Option("--watch", flag=True, help="Only look: keys are not sent, the size is not changed."),
        Option("--fresh", flag=True, help="Drop what was typed before the agent is shown.", hidden=True),
        DETACH_KEY, WORKSPACE, example="synapse attach bob", quick=True,
    ),
    Command(
        "stop", stop, "Ask agents to end in their own way.", TARGETS, WORKSPACE, AS_JSON,
        example="synapse stop bob", quick=True,
    ),
    Command(
        "kill", kill, "End agents.", TARGETS,
        Option("--force", "-f", flag=True, help="At once, without asking."),
        Option("--yes", "-y", flag=True, help="Do not ask."), WORKSPACE, AS_JSON,
        example="synapse kill -f bob", quick=True,
    ),
    Command(
        "rename", rename, "Give an agent another name.", Argument("target", help="Name, id or profile."),
        Argument("name", help="The new name.", required=False),
        Option("--clear", flag=True, help="Back to the automatic name."), AS_JSON, FROM, WORKSPACE,
        example="synapse rename claude-8100 reviewer", quick=True,
    ),
    Command(
        "leave", leave, "End a plain client that `--from NAME` began; its unread mail is kept for a week.",
        Argument("name", help="Its name."), WORKSPACE, AS_JSON, example="synapse leave ci", quick=True,
    ),
    Command("_pane", pane, "An agent's own pane.", Option("--socket", help="Where its runner listens."),
            Option("--detach-key", help="The key that leaves it."), Option("--name", help="Its name."),
            example="synapse _pane", quick=True),
    Command("_runner", runner, "The process behind an agent.", Option("--ready-fd", kind=int, help="Where to say it."),
            example="synapse _runner", quick=True),
    Command("_demo-agent", demo_agent, "The bundled demo agent.",
            Argument("words", help="Its options.", required=False, rest=True), example="synapse run demo"),
)  # fmt: skip
