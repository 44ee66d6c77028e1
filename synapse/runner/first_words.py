"""The first line that an agent is told: who it is, and the one command that says how to reach the others."""

import json
import logging
import os
import shutil
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from synapse import settings
from synapse.errors import BadRequest
from synapse.runner import profile as profiles
from synapse.runner.profile import Profile
from synapse.runner.spec import Spec

logger = logging.getLogger(__name__)

LARGEST = 4 << 20  # bytes of a file with MCP servers


def first_words(spec: Spec, profile: Profile, given: Sequence[str], agent: Mapping[str, Any]) -> str:
    """What is typed when the agent is first ready; "" for nothing. `given` are the person's words to the program."""
    why = silent(spec, profile, given)
    if why:
        logger.info("it is not told who it is: %s", why)
        return ""
    return line(str(agent["name"]), str(agent["id"]))


def line(name: str, id: str) -> str:
    """The line itself."""
    command = "synapse" if shutil.which("synapse") else os.environ.get("SYNAPSE_COMMAND") or profiles.own_command()
    who = f"{name} ({id})" if name and name != id else id
    return (
        f"You are {who}, one of several agents that work together through synapse. "
        f"Run `{command} instructions show` once: it says how to reach the others and how to answer them."
    )


def silent(spec: Spec, profile: Profile, given: Sequence[str], environ: Mapping[str, str] = os.environ) -> str:
    """Why an agent is told nothing; "" when it is told."""
    if not profile.instructions:
        return "its profile says so"
    if not spec.instructions or settings.value("instructions.enabled", environ=environ) is False:
        return "it was chosen so"
    if _any(given, profile.start.unless):
        return "nobody talks to it"
    if _any(given, _resuming(profile, environ)):
        return "it goes on with a conversation"
    found = next(_servers(profile, spec.cwd, environ), "")
    return f"it has our MCP server ({found})" if found else ""


def _any(given: Sequence[str], words: Sequence[str]) -> bool:
    return any(word.partition("=")[0] in words for word in given)


def _resuming(profile: Profile, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The words with which the program goes on where it was: the chosen ones, else the profile's."""
    try:
        chosen = settings.value(f"profiles.{profile.name}.resume_flags", environ=environ)
    except BadRequest:  # there is no such setting for this profile; or the settings are wrong, which others say
        return profile.resume
    return chosen if isinstance(chosen, tuple) and chosen else profile.resume


# -- MCP entries that are ours


def _servers(profile: Profile, cwd: str, environ: Mapping[str, str]) -> Iterator[str]:
    """The files of the program in which a server of ours stands."""
    for name in profile.mcp:
        path = os.path.join(cwd, _expanded(name, environ))
        if any(_ours(server) for server in _listed(_read(path), cwd)):
            yield path


def _expanded(name: str, environ: Mapping[str, str]) -> str:
    """`~/x` below the home folder, `$NAME/x` below the folder in a variable ("" where it is not set), else as it is."""
    if name.startswith("$"):
        variable, _, rest = name[1:].partition("/")
        return os.path.join(environ[variable], rest) if environ.get(variable) else ""
    home = environ.get("HOME") or os.path.expanduser("~")
    return os.path.join(home, name[2:]) if name.startswith("~/") else name


def _read(path: str) -> Any:
    try:
        if not os.path.isfile(path) or os.path.getsize(path) > LARGEST:
            return {}
        with open(path, encoding="utf-8") as opened:
            text = opened.read()
        return tomllib.loads(text) if path.endswith(".toml") else json.loads(text)
    except (OSError, ValueError, RecursionError):
        return {}  # its own program will say what is wrong in it


def _listed(tables: Any, cwd: str) -> Iterator[Any]:
    """All servers that count in a folder."""
    if not isinstance(tables, dict):
        return
    for name in ("mcpServers", "mcp_servers", "mcp"):
        servers = tables.get(name)
        if isinstance(servers, dict):
            yield from servers.values()
    projects = tables.get("projects")
    if isinstance(projects, dict):
        yield from _listed(projects.get(cwd), cwd)


def _ours(server: Any) -> bool:
    """Does a server run `synapse mcp`?"""
    if not isinstance(server, dict) or server.get("disabled") is True or server.get("enabled") is False:
        return False
    command, more = server.get("command"), server.get("args")
    words = [*(command if isinstance(command, list) else [command]), *(more if isinstance(more, list) else [])]
    named = [os.path.basename(word) for word in words if isinstance(word, str)]
    return "mcp" in named and any(name in ("synapse", "synapse-hub") for name in named[: named.index("mcp")])
