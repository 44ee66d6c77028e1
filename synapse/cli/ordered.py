"""`_start`: an agent that a hub was asked for. What to start comes as one line on standard input, what became of it goes
to standard output; when standard input is closed before that, the hub has gone or wants it no more, and it is ended."""

import os

from synapse.cli.command import Command
from synapse.cli.errors import FAILED
from synapse.cli.launching import hub_socket, launch, spec_of
from synapse.cli.panes import REMEMBERED
from synapse.cli.spawning import saved_or_not
from synapse.cli.starting import in_worktree, of_saved
from synapse.client.lines import dumps, loads
from synapse.client.starting import read_line
from synapse.errors import BadRequest, NotFound, SynapseError

IN, OUT = 0, 1


def ordered() -> int:
    """Start an agent for the hub."""
    for name in REMEMBERED:
        os.environ.pop(name, None)  # where the hub was started nobody looks at this agent
    line = read_line(IN)
    if not line.endswith(b"\n"):
        return FAILED  # the hub was quicker gone
    told = loads(line)
    assert isinstance(told, dict)
    try:
        said: dict[str, object] = _started(told)
    except SynapseError as error:
        said = {"code": error.code, "message": error.sentence, "status": error.status, "details": error.details}
    os.write(OUT, dumps(said))
    return 0


def _started(told: "dict[str, object]") -> "dict[str, object]":
    worktree, profile = told.pop("worktree"), str(told.pop("profile"))
    _allow_files(told.pop("files"))
    _enter(str(told.pop("cwd")))
    join_key, role = told.pop("join_key"), told.pop("role")
    words, agent = saved_or_not((profile,), None)
    told["role"] = ""
    spec = spec_of(of_saved(words, agent, told), **told)
    if agent is None:
        _check_profile(profile)
    spec.update(role=role or spec["role"], socket=hub_socket(no_start=True), join_key=join_key)
    with in_worktree(spec, None if worktree is None else str(worktree)):
        return launch(spec, lifeline=(IN,))


def _enter(folder: str) -> None:
    try:
        os.chdir(folder)
    except OSError as error:
        raise BadRequest("no_folder", f"{folder} cannot be entered: {error.strerror}.") from None


def _allow_files(most: object) -> None:
    """As many open files as the hub had been allowed before it allowed itself more."""
    import resource

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if isinstance(most, int) and most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _check_profile(name: str) -> None:
    """Any other program is started where its person sits: whoever asks a hub for agents gets agents."""
    from synapse.cli.saved import all_saved
    from synapse.runner.profile import BUILT_IN, GENERIC, config_folder, exists

    if not exists(name):
        folders = (BUILT_IN, config_folder() / "profiles")
        profiles = {path.stem for folder in folders for path in folder.glob("*.toml")} - {GENERIC}
        there = ", ".join([*sorted(profiles), *(saved.id for saved in all_saved())])
        raise NotFound("no_such_profile", f"There is no profile and no saved agent {name!r}. There are: {there}.")


COMMANDS = (Command("_start", ordered, "The start of an agent that a hub was asked for.", example="synapse _start",
                    quick=True),)  # fmt: skip
