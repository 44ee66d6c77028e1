"""`spawn`: start an agent beside this one, in a pane of its own where the terminal has them, else in the background."""

import os

from synapse import paths
from synapse.cli.command import AS_JSON, WORKSPACE, Argument, Command, Option, utf8
from synapse.cli.errors import say
from synapse.cli.launching import NotStarted, detach_key_of, hub_socket, launch, spec_of
from synapse.cli.panes import REMEMBERED, here, open_beside, recognised
from synapse.cli.starting import in_worktree, of_saved, program_behind
from synapse.client.blocking import Client
from synapse.client.lines import dumps, loads
from synapse.errors import BadRequest, Refused, SynapseError

READY_WITHIN = 60.0  # seconds for an agent to be ready, if nobody says otherwise
MOMENT = 0.5  # seconds that a program must live on to be said to be started
IDLE = ("READY", "DONE")


def spawn(
    words: "tuple[str, ...]",
    *,
    agent: "str | None",
    worktree: "str | None",
    headless: bool,
    task: "str | None",
    wait: bool,
    timeout: "float | None",
    as_json: bool,
    **told: object,
) -> int:
    """Start an agent, give it its first task, and with --wait print the answer (or wait until it is ready)."""
    from synapse.cli.messages import check_timeout

    check_timeout(timeout)
    if timeout is not None and not wait:
        raise BadRequest("no_wait", "--timeout is how long --wait waits: give both.")
    if task is not None and not task.strip():
        raise BadRequest("no_text", "--task says nothing: give it a text, or leave it out.")
    words, worktree = program_behind(words, worktree, agent)
    place = None if headless else around()
    try:
        started, terminal = begin(words, agent, worktree, told, place)
    except NotStarted as error:
        return error.told(as_json=as_json)
    check_stays([started] if terminal else [])
    report(started, terminal, as_json=as_json, quiet=bool(task and wait))
    workspace = str(started["workspace"])
    if task is not None:
        return _give(str(started["key"]), task, wait, timeout, as_json, workspace)
    return _ready(started, READY_WITHIN if timeout is None else timeout) if wait else 0


def begin(
    words: "tuple[str, ...]",
    agent: "str | None",
    worktree: "str | None",
    told: "dict[str, object]",
    place: "dict[str, str] | None",
) -> "tuple[dict[str, object], str]":
    """Start an agent beside a place (None: nowhere to be seen): what it is, and the terminal that shows it."""
    words, agent = saved_or_not(words, agent)
    told = {**told}
    words = of_saved(words, agent, told)
    spec = spec_of(words, **told)
    spec["socket"] = hub_socket(no_start=False)
    seen = place is not None and recognised(place) is not None
    with in_worktree(spec, worktree):
        started = launch({**spec, "owned": seen})
    if place is None or not seen:
        return started, ""
    name = str(started["name"])
    pane = [*paths.program(), "_pane", "--socket", str(started["socket"]), "--detach-key", detach_key_of(None)]
    try:
        return started, open_beside(place, name, str(spec["cwd"]), [*pane, "--name", name])
    except Refused as error:
        say(f"synapse: no pane: {error.sentence}.\n".encode("utf-8", "replace"))
        return started, ""


def saved_or_not(words: "tuple[str, ...]", agent: "str | None") -> "tuple[tuple[str, ...], str | None]":
    """The first word may be a saved agent's id or name, if it is no profile's."""
    from synapse.cli.saved import all_saved
    from synapse.runner.profile import exists

    if agent or not words or exists(words[0]):
        return words, agent
    known = {each for saved in all_saved() for each in (saved.id, saved.name)}
    return (words[1:], words[0]) if words[0].lower() in known else (words, None)


def around() -> "dict[str, str] | None":
    """The place beside which a pane is opened: this terminal's; for an agent, where somebody looks at it."""
    agent = os.environ.get("SYNAPSE_AGENT_ID")
    if agent is None:
        return here()
    from synapse.runner.attach import places

    try:
        with Client("", "", start=False) as client:
            socket = str(client.call("agents.show", target=agent).get("socket", ""))
        for text in places(socket):
            place = loads(text.encode())
            if isinstance(place, dict) and any(name in REMEMBERED for name in place):
                return {str(key): str(value) for key, value in place.items()}
    except (SynapseError, ValueError):
        pass  # nobody can say where it is seen
    return None


def check_stays(started: "list[dict[str, object]]") -> None:
    """Refused when a program has ended in its first moment, and its pane with it: nobody could read why."""
    from time import monotonic

    end = monotonic() + MOMENT
    for agent in started:
        with Client("", str(agent["workspace"]), start=False) as client:
            gone = client.call("agents.wait_gone", key=agent["key"], timeout=max(0.0, end - monotonic()))
        if not gone.get("pending"):
            raise Refused(
                "ended_at_once",
                f"{agent['name']} ended at once: `synapse logs --screen {agent['name']}` shows what it said.",
            )


def report(started: "dict[str, object]", terminal: str, *, as_json: bool, quiet: bool) -> None:
    """Say what was started; on standard error where standard output is for an answer."""
    where = f"in a {terminal} pane" if terminal else f"in the background: `synapse attach {started['name']}` shows it"
    said = f"started {started['name']} ({started['id']}) {where}\n".encode()
    if quiet:
        say(said)
    else:
        os.write(1, dumps({**started, "terminal": terminal}) if as_json else said)


def _give(to: str, text: str, wait: bool, timeout: "float | None", as_json: bool, workspace: str) -> int:
    """Send the first task to the agent that was started, whatever its name is by then."""
    from synapse.cli.messages import await_answer

    with Client("", workspace, start=False) as client:
        mode = "wait" if wait else "notify"
        sent = client.change("messages.send", to=to, text=utf8(text, "The task"), mode=mode)
        return await_answer(client, str(sent["task_id"]), timeout, as_json) if wait else 0


def _ready(started: "dict[str, object]", within: float) -> int:
    """Wait until it is ready; 124 when the time was over."""
    from time import monotonic, sleep

    end = monotonic() + within
    with Client("", str(started["workspace"]), start=False) as client:
        while True:
            live = client.call("agents.show", target=started["key"]).get("live")
            assert isinstance(live, dict)
            if live.get("status") in IDLE:
                return 0
            if monotonic() >= end:
                say(f"synapse: {started['name']} is {live.get('status')} after {within:g} s.\n".encode())
                return 124
            sleep(0.1)


WHO = (
    Option("--agent", "-A", help="A saved agent, also one that has a profile's name.", metavar="ID"),
    Option("--name", help="A name of its own; its mail outlives it."),
    Option("--role", help="What it is for, as text or @file."),
    Option("--skill-set", help="The skills that it gets."),
    Option("--worktree", "-w", optional=True, metavar="[NAME]", help="In a git worktree of its own."),
    Option("--port", kind=int, help="Its own port."),
    WORKSPACE,
)
COMMANDS = (
    Command(
        "spawn", spawn, "Start an agent beside this terminal, in a pane of its own.",
        Argument("words", help="A profile, a program or a saved agent; behind `--` its arguments.", required=False,
                 many=True),
        *WHO,
        Option("--task", help="Its first task.", metavar="TEXT"),
        Option("--wait", flag=True, help="Print the task's answer; without a task: until it is ready."),
        Option("--timeout", kind=float, help="Seconds to wait (exit 124).", metavar="SECONDS"),
        Option("--headless", flag=True, help="In the background, without a pane."), AS_JSON,
        example='synapse spawn codex --name tester --task "test the parser" --wait',
    ),
)  # fmt: skip
