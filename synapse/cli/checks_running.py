"""What `doctor` looks at in synapse itself: hub, log, settings, profiles. A check only looks, and never starts a hub."""

import os
import re
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from synapse import __version__, paths, settings
from synapse.cli.checks import FAIL, OK, WARN, Check
from synapse.cli.config import here
from synapse.cli.table import span
from synapse.errors import NotFound, SynapseError

GLANCE = 7 * 86400.0  # seconds back that the logs are looked at
_TAIL = 256 << 10  # bytes of a log's end


def hub() -> "Iterator[Check]":
    """The hub: does it answer, and is it of this version? Else, is its port free?"""
    from synapse.client.blocking import Client
    from synapse.client.starting import answers, holder

    data = paths.data_folder()
    if not os.path.isdir(data):
        yield _port()
        return
    held = holder(data)
    path = os.environ.get("SYNAPSE_SOCKET") or paths.hub_socket(data, settings.hub_port())
    if held is None and not answers(path):
        yield _port()
        return
    pid = (held or {}).get("pid", "unknown")
    if held is not None and not answers(str(held.get("socket", path))):
        yield Check("hub", FAIL, f"process {pid} holds {data} and opens no door",
                    f"If it does not just start: `synapse logs hub`, then `kill {pid}`.")  # fmt: skip
        return
    with Client(start=False, url="") as client:
        found = client.call("hub.status")["hub"]
    assert isinstance(found, dict)
    said = (
        f"version {found['version']}, process {found['pid']}, port {found['port']}, since {_ago(found['started_at'])}"
    )
    if found["version"] != __version__:
        yield Check("hub", WARN, f"{said}; this program is {__version__}", "`synapse restart`.")
    elif found["read_only"]:
        yield Check("hub", FAIL, f"{said}; it can only be read: {found['read_only']}", "`synapse logs hub`.")
    else:
        yield Check("hub", OK, said)


def out_of_order() -> "Iterator[Check]":
    """What of the hub, and which plugins, do not work: those of the hub that runs, else those that are installed."""
    from synapse.cli.plugins import of_the_hub, rows
    from synapse.client.blocking import Client
    from synapse.client.starting import answers

    running = answers(hub_socket())
    broken: dict[str, str] = {}
    if running:
        with Client(start=False, url="") as client:
            broken = client.call("hub.status")["hub"]["broken"]  # type: ignore[index]
    found = rows(of_the_hub() if running else None)
    failures = {str(one["name"]): str(one["failure"]) for one in found if one["enabled"] and one["failure"]}
    names = {str(one["name"]) for one in found}
    for what, why in broken.items():
        owner = _owner(what, names)
        if owner:
            failures.setdefault(owner, f"{what}: {why}")
        else:
            yield Check("hub", WARN, f"broken: {what}: {why}", "`synapse logs hub`.")
    for name, why in failures.items():
        hint = f"`synapse plugins disable {name}` and `synapse restart` leave it out; `synapse logs hub` has the rest."
        yield Check("plugins", WARN, f"{name} does not work: {why}", hint)
    if not failures:
        off = sum(not one["enabled"] for one in found)
        working = ", ".join(str(one["name"]) for one in found if one["enabled"]) or "none"
        yield Check("plugins", OK, working + (f" ({off} disabled)" if off else ""))


def hub_socket() -> str:
    """Where the hub of this data folder would listen; "" where that cannot be known."""
    data = paths.data_folder()
    try:
        usual = paths.hub_socket(data, settings.hub_port()) if os.path.isdir(data) else ""
    except SynapseError:
        return ""  # the settings are wrong, which is told
    return os.environ.get("SYNAPSE_SOCKET") or usual


def _owner(what: str, plugins: set[str]) -> str:
    """The plugin that something broken belongs to: `plugin X`, `table X_y`, `X: reactions`, `X_y`."""
    first = re.split(r"[:_. ]", what.removeprefix("plugin ").removeprefix("table "), maxsplit=1)[0]
    return first if first in plugins else ""


def _ago(at: float) -> str:
    return span(time.time() - at)


def _port() -> Check:
    """The port that a hub would take."""
    import socket

    host, port = str(settings.value("hub.host")), settings.hub_port()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            return Check("hub", WARN, f"none runs here, and port {port} on {host} cannot be had: {error.strerror or error}",
                         "Another: `synapse config set hub.port 8877`, or SYNAPSE_PORT.")  # fmt: skip
    return Check("hub", OK, f"none runs here; the first command that needs one starts it on port {port}")


def log() -> "Iterator[Check]":
    """Can the log be read: its format, its file, its newest record?"""
    from synapse.cli.offline import opened

    began = time.monotonic()
    try:
        with opened(None) as found:
            head, path = found.head(), found.path
    except NotFound:
        yield Check("log", OK, "there is none yet")
        return
    took = time.monotonic() - began
    yield Check(
        "log", OK, f"{path}: {head} records, {path.stat().st_size / 1e6:.1f} MB, looked through in {took:.2f} s"
    )


def chosen() -> "Iterator[Check]":
    """The settings files: right, allowed, and nobody else's to write."""
    from synapse.cli.contributed import declare_settings
    from synapse.settings.reading import load

    declare_settings()
    loaded = load(here())
    for sentence in loaded.problems:
        yield Check("settings", FAIL, sentence, _mending(sentence))
    for sentence in (*loaded.refused, *loaded.absent):
        yield Check("settings", WARN, sentence)
    own = settings.file("user")
    places = ((os.path.dirname(own), 0o700), (own, 0o600))
    for path, mode in places:
        try:
            status = os.stat(path)
        except FileNotFoundError:
            continue
        said, repair = f"{path} ({stat.S_IMODE(status.st_mode):o})", partial(os.chmod, path, mode)
        if status.st_uid != os.getuid():
            yield Check("settings", FAIL, f"{path} belongs to another user", f"`sudo chown $USER {path}`.")
        elif status.st_mode & 0o022:
            yield Check("settings", FAIL, f"others may write {said}", f"`chmod {mode:o} {path}`.", repair)
        elif status.st_mode & 0o044 and path == own:
            yield Check("settings", WARN, f"others may read {said}", f"`chmod {mode:o} {path}`.", repair)
    if not loaded.problems:
        files = [path for _, path in settings.files(here())]
        yield Check("settings", OK, ", ".join(files) or "no file: everything is as it comes")


def _mending(sentence: str) -> str:
    """What to do about something that is wrong in a settings file, or in a variable."""
    for scope, path in settings.files(here()):
        if sentence.startswith((f"{path}, ", f"{path}: ", f"{path} ")):
            option = "" if scope == "user" else f" --scope {scope}"
            edit = f"`synapse config edit{option}`"
            line, key = re.search(r", (line \d+)", sentence), re.search(r"'([\w.-]+\.[\w.-]+|\w+)'", sentence)
            if "this is no TOML" in sentence:
                return (
                    f"Mend {line[1] if line else 'it'} of {path}: {edit} opens a copy, and takes it when it is right."
                )
            return f"{edit}{f', or `synapse config unset {key[1]}{option}`' if key and line else ''}."
    return "Unset that variable, or give it another value."


def profiles() -> "Iterator[Check]":
    """The user's own profiles."""
    from synapse.runner.profile import exists, load

    found = sorted(Path(settings.config_folder(), "profiles").glob("*.toml"))
    wrong = 0
    for path in found:
        try:
            load(path)
            if not exists(path.stem):
                raise NotFound("bad_name", f"{path}: no name for a profile; use small letters, digits, '.', '_', '-'.")
        except SynapseError as error:
            wrong += 1
            yield Check("profiles", FAIL, error.sentence, "docs/profiles.md says what stands in one.")
    if not wrong:
        yield Check("profiles", OK, f"{len(found)} of your own" if found else "the built-in ones")


def on_path() -> "Iterator[Check]":
    """Would an agent's shell find this program?"""
    path = shutil.which("synapse")
    if path is None:
        yield Check("on PATH", WARN, "no `synapse` on PATH: agents have to call it by $SYNAPSE_COMMAND",
                    "`pipx ensurepath`, or put its folder on PATH.")  # fmt: skip
        return
    version = _version(path)
    if version != __version__:
        yield Check("on PATH", WARN, f"{path} is another version ({version[:40]}; this is {__version__})",
                    "Agents would call that one: put this one's folder first.")  # fmt: skip
    else:
        yield Check("on PATH", OK, path)


def _version(program: str) -> str:
    command = [program, "--version"]
    try:
        done = subprocess.run(
            command, capture_output=True, timeout=20, check=False, stdin=subprocess.DEVNULL, text=True, errors="replace"
        )
    except subprocess.TimeoutExpired:
        return "it does not answer"
    return done.stdout.split()[-1] if done.stdout.split() else "unknown"


_ERROR = re.compile(rb"^\S+ \S+ (?:ERROR|CRITICAL) |^Traceback ", re.MULTILINE)


def logs() -> "Iterator[Check]":
    """Errors that the hub and the runners have written down lately."""
    data = Path(paths.data_folder())
    files = [(data / "hub.log", "hub"), *((path, path.stem) for path in sorted((data / "logs").glob("*.log")))]
    found = 0
    for path, who in files:
        try:
            with open(path, "rb") as opened:
                status = os.fstat(opened.fileno())
                if status.st_mtime < time.time() - GLANCE:
                    continue
                opened.seek(max(0, status.st_size - _TAIL))
                errors = len(_ERROR.findall(opened.read(_TAIL)))
        except FileNotFoundError:
            continue
        if errors:
            found += 1
            hint = "`synapse logs hub`." if who == "hub" else f"`tail {path}`."
            yield Check("logs", WARN, f"{errors} errors in {path}, the last line {_ago(status.st_mtime)} ago", hint)
    if not found:
        yield Check("logs", OK, "no errors in the last week")


def variables() -> "Iterator[Check]":
    """Variables of older systems that have no effect, and ones that are misspelt."""
    from synapse.settings.declared import WITHOUT_EFFECT, near_variables

    found = [name for name in WITHOUT_EFFECT if os.environ.get(name)]
    if found:
        yield Check("variables", WARN, f"{', '.join(found)}: no effect; everything is in {paths.data_folder()}",
                    "SYNAPSE_DATA chooses another folder.")  # fmt: skip
    near = near_variables()
    for name, meant in near:
        yield Check("variables", WARN, f"{name} sets nothing", f"Is {meant} meant?")
    if not found and not near:
        yield Check("variables", OK, "none that is set in vain")


def signals() -> "Iterator[Check]":
    """Agents whose program should tell by itself what it does, and does not: their screens are looked at instead."""
    from synapse.client.blocking import Client
    from synapse.client.starting import answers

    if not answers(hub_socket()):
        return
    with Client(start=False, url="") as client:
        agents = client.call("agents.list", workspace="*").get("agents") or []
        assert isinstance(agents, list)
        names = [f"{row['workspace']}/{row['name']}" for row in agents if row["transport"] == "socket"]
        lives: list[dict[str, list[str]]] = [client.call("agents.show", target=name)["live"] for name in names]  # type: ignore[misc]
    silent = [(name, live["silent"]) for name, live in zip(names, lives, strict=True) if live.get("silent")]
    for name, sources in silent:
        yield Check("signals", WARN, f"{name} does not report by {', '.join(sources)}: its screen is looked at instead",
                    "Are hooks switched off in its settings? A newer version may need another profile.")  # fmt: skip
    if not silent:
        yield Check("signals", OK, "every agent that should report by itself does")


ALL = (hub, out_of_order, log, chosen, profiles, on_path, logs, variables, signals)
