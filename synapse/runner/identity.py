"""Who an agent is: what its runner tells the hub when it joins, and what its program finds in its environment."""

import os
from collections.abc import Mapping
from typing import Any

from synapse import names, paths
from synapse.runner import profile as profiles
from synapse.runner.profile import Profile
from synapse.runner.spec import Spec
from synapse.runner.who import start_of


def joining(spec: Spec, profile: Profile, program: str) -> dict[str, Any]:
    """What the hub is told."""
    pid = os.getpid()
    return {
        **({"idempotency_key": spec.join_key} if spec.join_key else {}),
        "profile": profile.name if profile.command else names.fit(os.path.basename(program), profiles.GENERIC),
        "name": spec.name,
        "role": spec.role,
        "skill_set": spec.skill_set,
        "workspace": spec.workspace,
        "folder": "" if spec.workspace else spec.folder,
        "cwd": spec.cwd,
        "pid": pid,
        "pid_start": start_of(pid),
        "ports": profile.ports,
        "port": spec.port,
    }


def environment(agent: Mapping[str, Any], *, port: int, socket: str, data: str) -> dict[str, str]:
    """The program's environment: what its starter had, and who it is."""
    env = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    env.setdefault("TERM", "xterm-256color")
    env.update(
        SYNAPSE_AGENT_ID=agent["id"],
        SYNAPSE_AGENT_NAME=agent["name"],
        SYNAPSE_WORKSPACE=agent["workspace"],
        SYNAPSE_URL=f"http://127.0.0.1:{port}",
        SYNAPSE_PORT=str(port),
        SYNAPSE_SOCKET=socket,
        SYNAPSE_DATA=data,
        SYNAPSE_LETTERS=paths.letters_folder(data, agent["key"]),
    )
    env.setdefault("SYNAPSE_COMMAND", profiles.own_command())
    return env
