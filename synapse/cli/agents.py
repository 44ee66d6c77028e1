"""`run`, `start`, `stop`, `kill`, `attach`, `rename`: agents in their terminals."""

import os
import sys

from synapse import paths, settings
from synapse.cli.command import AS_JSON, FROM, NO_START, WORKSPACE, Argument, Command, Option
from synapse.cli.errors import told
from synapse.client.blocking import Client
from synapse.client.lines import dumps
from synapse.errors import BadRequest, NotFound, Refused, SynapseError, Unavailable

BACK_WITHIN = 6.0  # seconds for a runner to come back to a hub that was just started
PATIENCE = 40.0  # seconds for a runner to say that it runs


def run(
    words: "tuple[str, ...]", *, keep: bool, headless: bool, detach_key: "str | None", no_setup: bool, **told: object
) -> int:
    """Start an agent and show it here; it ends with this terminal, unless it is detached or --keep is given."""
    if headless:
        return start(words, as_json=False, no_start=bool(told.pop("no_start")), **told)
    from synapse.runner.attach import attach, leave
    from synapse.runner.queries import PROBE
    from synapse.runner.user_terminal import UserTerminal

    no_start, key = bool(told.pop("no_start")), _detach_key(detach_key)
    if not (no_setup or told["name"]) and _can_ask():
        told.update(_setup(told))
    spec = _spec(words, **told)
    spec["socket"] = _hub(no_start)
    try:
        with UserTerminal() as terminal:
            columns, rows = terminal.size()
            probe = terminal.probe(PROBE)
            spec.update(columns=columns, rows=rows, owned=True, keep=keep, probe=probe.answer.decode("latin-1"))
            if probe.cursor:
                spec["cursor"] = list(probe.cursor)
            agent = _launch(spec)
            parting = attach(
                str(agent["socket"]), owner=True, detach_key=key, typed=probe.answer, place=_here(), terminal=terminal
            )
    except NotStarted as error:
        return error.told(as_json=False)
    if parting.reason:
        os.write(2, f"[{parting.reason}; `synapse attach {agent['name']}` comes back]\n".encode())
    return leave(parting.status)


def _detach_key(given: "str | None") -> str:
    """The key that was given, else the one that was chosen."""
    from synapse.cli.chosen import chosen

    return str(given or chosen("detach_key"))


def _here() -> str:
    """Where this terminal is, for `synapse jump`."""
    from synapse.cli.panes import here

    return dumps(here()).decode().strip()


class NotStarted(Refused):
    """An agent could not be started; `exits` is the status of a shell that could not start the program."""

    def __init__(self, code: str, sentence: str, exits: int = 1, **details: object) -> None:
        super().__init__(code, sentence, **details)
        self.exits = exits

    def told(self, *, as_json: bool) -> int:
        """Say why; the exit status."""
        from synapse.cli.errors import told

        told(self, as_json)
        return self.exits


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


def _spec(
    words: "tuple[str, ...]", *, name: object, role: object, skill_set: object, workspace: object, port: object
) -> "dict[str, object]":
    """What the runner is told."""
    if words and words[0] == "--":
        words = words[1:]
    elif len(words) > 1 and words[1] == "--":
        words = (words[0], *words[2:])
    if not words:
        raise BadRequest("no_program", "Say what to run: `synapse run claude`, or `synapse run -- mytool --chat`.")
    cwd = os.getcwd()
    return {
        "words": list(words),
        "cwd": cwd,
        "folder": paths.project(cwd),
        "workspace": workspace or os.environ.get("SYNAPSE_WORKSPACE", ""),
        "name": name or "",
        "role": _text(str(role or "")),
        "skill_set": skill_set or "",
        "port": port or 0,
    }


def _text(role: str) -> str:
    """A role as given, or from `@file`."""
    if not role.startswith("@"):
        return role
    try:
        with open(role[1:], encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest("bad_file", f"{role[1:]} cannot be read as text: {error}.") from None


def _hub(no_start: bool) -> str:
    """The socket of a hub that answers."""
    from synapse.client.starting import answers, find_or_start

    data = paths.data_folder()
    path = os.environ.get("SYNAPSE_SOCKET") or paths.hub_socket(data, settings.hub_port())
    return (
        path if answers(path) else find_or_start(data, path, start=not (no_start or os.environ.get("SYNAPSE_AGENT_ID")))
    )


def _launch(spec: "dict[str, object]") -> "dict[str, object]":
    """Start a runner of its own session; what it says when its agent can be attached, or why it cannot run."""
    import subprocess

    from synapse.client.lines import loads
    from synapse.client.starting import read_line

    ready, told = os.pipe()
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SYNAPSE_AGENT_")}
    try:
        process = subprocess.Popen(
            [*paths.program(), "_runner", "--ready-fd", str(told)],
            pass_fds=(told,),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=environ,
        )
    finally:
        os.close(told)
    assert process.stdin is not None
    assert process.stderr is not None
    try:
        process.stdin.write(dumps(spec))
        process.stdin.close()
        line = read_line(ready, PATIENCE)
    finally:
        os.close(ready)
    try:
        said = loads(line)
    except ValueError:
        process.kill()
        trace = process.stderr.read().decode("utf-8", "replace")
        raise Unavailable("not_started", f"The agent did not start. {trace[-2000:]}") from None
    process.stderr.close()
    process.returncode = 0  # it lives on: nobody waits for it
    assert isinstance(said, dict)
    if "key" in said:
        return said
    raise NotStarted(str(said["code"]), str(said["message"]), int(said["exit"]))


def start(words: "tuple[str, ...]", *, no_start: bool, as_json: bool, **told: object) -> int:
    """Start an agent in the background; `synapse attach` shows it."""
    spec = _spec(words, **told)
    spec["socket"] = _hub(no_start)
    try:
        agent = _launch(spec)
    except NotStarted as error:
        return error.told(as_json=as_json)
    said = f"started {agent['name']} ({agent['id']}, process {agent['pid']})\n"
    os.write(1, dumps(agent) if as_json else said.encode())
    return 0


def attach(target: str, *, watch: bool, detach_key: "str | None", workspace: "str | None") -> int:
    """Show an agent's terminal here; several may look at once."""
    from synapse.runner.attach import attach as look
    from synapse.runner.attach import leave

    with Client("", workspace or "", start=False) as client:
        shown = client.call("agents.show", target=target)
    path = str(shown.get("socket", ""))
    if not path:
        raise NotFound("no_terminal", f"'{target}' has no terminal to attach to yet.")
    parting = look(path, watch=watch, detach_key=_detach_key(detach_key), place=_here())
    if parting.reason:
        os.write(2, f"[{parting.reason}]\n".encode())
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


def runner(*, ready_fd: int) -> int:
    """The process behind an agent (internal)."""
    from synapse.runner.main import main

    return main(ready_fd)


def demo_agent(words: "tuple[str, ...]") -> int:
    """The bundled demo agent (internal)."""
    from synapse.runner.demo import main

    return main(list(words))


AGENT = (
    Argument("words", help="A profile or a program, and its arguments.", rest=True),
    Option("--name", help="A name of its own; its mail outlives it."),
    Option("--role", help="What it is for, as text or @file."),
    Option("--skill-set", help="The skills that it gets."),
    WORKSPACE,
    Option("--port", kind=int, help="Its own port."),
    NO_START,
)
DETACH_KEY = Option(
    "--detach-key", help="The key that leaves it running and comes back here; else detach_key, ctrl-\\."
)
TARGETS = Argument("targets", help="Names, ids or profiles.", many=True)

COMMANDS = (
    Command(
        "run", run, "Start an agent and show it in this terminal.", *AGENT,
        Option("--keep", flag=True, help="The agent lives on when this terminal is closed."),
        Option("--headless", flag=True, help="In the background: the same as `start`."),
        Option("--no-setup", flag=True, help="Do not ask for a name, a role and skills."),
        DETACH_KEY, example="synapse run --name alice claude", quick=True,
    ),
    Command(
        "start", start, "Start an agent in the background.", *AGENT, AS_JSON,
        example="synapse start --name bob demo", quick=True,
    ),
    Command(
        "attach", attach, "Show an agent's terminal here.", Argument("target", help="Name, id or profile."),
        Option("--watch", flag=True, help="Only look: keys are not sent, the size is not changed."),
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
    Command("_runner", runner, "The process behind an agent.", Option("--ready-fd", kind=int, help="Where to say it."),
            example="synapse _runner", quick=True),
    Command("_demo-agent", demo_agent, "The bundled demo agent.",
            Argument("words", help="Its options.", required=False, rest=True), example="synapse run demo"),
)  # fmt: skip
