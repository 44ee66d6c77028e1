"""How an agent is started: what its runner is told, the hub it comes to, and its process."""

import os

from synapse import paths, settings
from synapse.client.lines import dumps
from synapse.errors import BadRequest, Refused, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess

PATIENCE = 40.0  # seconds for a runner to say that it runs
LEAVING = 8.0  # ... and for one that shall not to be gone


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


def spec_of(
    words: "tuple[str, ...]", *, name: object, role: object, skill_set: object, workspace: object, port: object
) -> "dict[str, object]":
    """What the runner is told."""
    if words and words[0] == "--":
        words = words[1:]
    elif len(words) > 1 and words[1] == "--":
        words = (words[0], *words[2:])
    if not words:
        raise BadRequest("no_program", "Say what to run: `synapse run claude`, or `synapse run -- mytool --chat`.")
    _find_profile(words[0])
    cwd = os.getcwd()
    return {
        "words": list(words),
        "cwd": cwd,
        "folder": paths.project(cwd),
        "workspace": workspace or os.environ.get("SYNAPSE_WORKSPACE", ""),
        "name": name or "",
        "role": role_of(str(role or "")),
        "skill_set": skill_set or "",
        "port": port or 0,
    }


def _find_profile(name: str) -> None:
    """A plugin may have the profile of a program that nobody else knows."""
    from synapse.runner.profile import exists

    if "/" not in name and not exists(name):
        from synapse.cli import contributed

        contributed.profile(name)


def role_of(role: str) -> str:
    """A role as given, or from `@file`."""
    if not role.startswith("@"):
        return role
    try:
        with open(role[1:], encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest("bad_file", f"{role[1:]} cannot be read as text: {error}.") from None


def hub_socket(no_start: bool) -> str:
    """The socket of a hub that answers."""
    from synapse.client.starting import answers, find_or_start

    _check_near()
    data = paths.data_folder()
    path = os.environ.get("SYNAPSE_SOCKET") or paths.hub_socket(data, settings.hub_port())
    return (
        path if answers(path) else find_or_start(data, path, start=not (no_start or os.environ.get("SYNAPSE_AGENT_ID")))
    )


def _check_near() -> None:
    """Refused where SYNAPSE_URL names the hub of another machine: agents come to the one of theirs."""
    url = os.environ.get("SYNAPSE_URL", "")
    if url:
        from synapse.client.place import port_here

        if not port_here(url):
            raise Refused(
                "far_hub",
                f"Agents come to the hub of their own machine, and SYNAPSE_URL names {url[:80]}: unset it, or start it there.",
            )


def launch(spec: "dict[str, object]", lifeline: "tuple[int, ...]" = ()) -> "dict[str, object]":
    """Start a runner of its own session; what it says when its agent can be attached, or why it cannot run.

    The agent is ended again when the person interrupts this, or when whoever holds the other end of a `lifeline` is gone.
    """
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
        line = read_line(ready, PATIENCE, lifeline)
    except KeyboardInterrupt:
        _end(process)
        raise
    finally:
        os.close(ready)
    try:
        said = loads(line)
    except ValueError:
        _end(process)
        trace = process.stderr.read().decode("utf-8", "replace")
        raise Unavailable("not_started", f"The agent did not start. {trace[-2000:]}") from None
    process.stderr.close()
    process.returncode = 0  # it lives on: nobody waits for it
    assert isinstance(said, dict)
    if "key" in said:
        return said
    error = NotStarted(str(said["code"]), str(said["message"]), int(said["exit"]))
    error.status = int(said["status"])
    raise error


def _end(process: "subprocess.Popen[bytes]") -> None:
    """See a runner off that has not come to its agent's beginning."""
    import subprocess

    process.terminate()
    try:
        process.wait(LEAVING)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def detach_key_of(given: "str | None") -> str:
    """The key that was given, else the one that was chosen."""
    from synapse.cli.chosen import chosen

    return str(given or chosen("detach_key"))


def place_here() -> str:
    """Where this terminal is, for `synapse jump`."""
    from synapse.cli.panes import here

    return dumps(here()).decode().strip()
