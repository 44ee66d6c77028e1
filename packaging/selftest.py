"""Does a built `synapse` do its work? `python packaging/selftest.py PROGRAM`: the frozen program, the one file, or a venv's.

It is called through a link from another folder, with an environment of its own, and with no Python on PATH.
"""

import argparse
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.request
import zipfile
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]
INSIDE = Path(__file__).with_name("inside.py")
# What agents use here, and what the one file needs to unpack itself.
TOOLS = (
    "sh", "cat", "env", "sleep", "id", "mkdir", "rm", "mv", "ls", "head", "tail", "gzip", "tar", "sha256sum",
    "shasum", "openssl", "flock", "sync", "git", "ps", "uname",
)  # fmt: skip
BOUND = 60.0  # seconds for anything
IDLE = ("READY", "DONE")
TAKEN = "another program listens there"  # an agent's port: that may be so on any machine
OURS = "/usr/local/lib/ours"


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("program", type=Path)
    options.add_argument("--python", type=Path, help="it is not frozen: this is its interpreter")
    given = options.parse_args()
    stage = Stage(given.program.absolute(), given.python and given.python.absolute())
    try:
        for act in ACTS:
            began = time.monotonic()
            said = act(stage)
            print(f"{'ok' if said is None else said:8} {act.__doc__:72} {(time.monotonic() - began) * 1000:6.0f} ms")
    finally:
        stage.clear()


class Stage:
    """A folder with a home and a PATH of its own, and the program in it."""

    def __init__(self, program, python):
        self.python = python
        self.frozen = python is None
        self.folder = Path(tempfile.mkdtemp(prefix="synapse-selftest-"))
        self.home, self.bin, self.project, self.notes = (
            self.folder / name for name in ("home", "bin", "project", "notes")
        )
        for folder in (self.home, self.bin, self.project, self.notes):
            folder.mkdir()
        for tool in TOOLS:
            found = shutil.which(tool)
            if found:
                (self.bin / tool).symlink_to(found)
        (self.bin / "synapse").symlink_to(program)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.env = {"HOME": str(self.home), "PATH": str(self.bin), "SYNAPSE_PORT": str(self.port)}
        self.noted = {}
        self.hubs = []

    def run(self, *words, status=0, **more):
        """What a command prints; it must end with this status."""
        env = {**self.env, **more.pop("env", {})}
        done = subprocess.run(
            [str(self.bin / "synapse"), *words], cwd=self.project, env=env, capture_output=True, timeout=BOUND,
            stdin=subprocess.DEVNULL, **more,
        )  # fmt: skip
        said, complained = done.stdout.decode(), done.stderr.decode()
        demand(done.returncode == status, f"synapse {' '.join(words)}: {done.returncode}\n{said}\n{complained}")
        demand("Traceback" not in complained, complained)
        return said

    def json(self, *words, **more):
        return json.loads(self.run(*words, "--json", **more))

    def start(self, name, *words, **more):
        return json.loads(self.run("start", "--json", "--name", name, *words, **more))

    def inside(self, what):
        """What the program finds in itself."""
        if self.frozen:
            return json.loads(self.run("_inside", what))
        words = [str(self.python), "-I", str(INSIDE), what]
        return json.loads(subprocess.run(words, env=self.env, stdout=subprocess.PIPE, check=True, timeout=BOUND).stdout)

    def serve(self):
        """A hub in the background; what it has imported until its doors open is noted."""
        ready, told = os.pipe()
        words = [str(self.bin / "synapse"), "serve", "--background", "--ready-fd", str(told)]
        env = {**self.env, "SYNAPSE_NOTE_IMPORTS": str(self.notes)}
        process = subprocess.Popen(words, cwd=self.project, env=env, pass_fds=(told,), start_new_session=True)
        os.close(told)
        with os.fdopen(ready, "rb") as pipe:
            demand(select.select([pipe], [], [], BOUND)[0], "the hub is not ready in time")
            said = json.loads(pipe.readline())
        self.hubs.append(said["pid"])
        self.note(said["pid"])
        return process

    def note(self, pid):
        if self.frozen:
            self.noted[pid] = len(self.imported(pid))

    def imported(self, pid):
        return (self.notes / str(pid)).read_text().split()

    def ours(self):
        """The processes of this test that live."""
        found, mine = [], f"HOME={self.home}\0".encode()
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if mine in (place / "environ").read_bytes() and int(place.name) != os.getpid():
                    found.append(int(place.name))
        return found

    def clear(self):
        for pid in self.ours():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


def demand(true, why):
    if not true:
        sys.exit(f"FAILED: {why}")


def until(true, what, seconds=BOUND):
    end = time.monotonic() + seconds
    while not (found := true()):
        demand(time.monotonic() < end, f"not in {seconds:g} s: {what}")
        time.sleep(0.02)
    return found


# -- the acts, in their order


def version(stage):
    "it says its version"
    wanted = re.search(r'__version__ = "(.+)"', (ROOT / "synapse/__init__.py").read_text())[1]
    demand(stage.run("--version").split()[-1] == wanted, f"it is not {wanted}")
    program = stage.bin / "synapse"
    if program.read_bytes()[:2] != b"#!":  # the one file unpacks itself, and for that must know where
        said = subprocess.run([program, "--version"], env={}, stdout=subprocess.PIPE, timeout=BOUND, check=True).stdout
        demand(said.split()[-1].decode() == wanted, f"with an empty environment it says {said}")


def help_pages(stage):
    "help, a mistake, and a word of no command"
    demand("broadcast" in stage.run("--help"), "the help does not list `broadcast`")
    demand("--timeout" in stage.run("send", "--help"), "the help of `send` has no --timeout")
    stage.run("send", "--nothing", status=2)
    stage.run("nothing", status=2)


def hub(stage):
    "a hub opens its doors, local and HTTP"
    stage.server = stage.serve()
    with urllib.request.urlopen(f"http://127.0.0.1:{stage.port}/health", timeout=BOUND) as answer:
        demand(answer.status == 200, "/health")
    with urllib.request.urlopen(f"http://127.0.0.1:{stage.port}/api/openapi.json", timeout=BOUND) as answer:
        demand("paths" in json.load(answer), "openapi.json")


def plugins(stage):
    "its plugins are those of pyproject.toml, each with what it has"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = sorted(project["entry-points"]["synapse.plugins"])
    found = stage.json("plugins")["plugins"]
    demand(sorted(one["name"] for one in found) == wanted, f"{found}: not {wanted}")
    for one in found:
        demand(one["working"] and one["contributes"], f"{one}: it does not work, or has nothing")


def agents(stage):
    "two demo agents in terminals of their own, a question, an answer"
    stage.agents = {}
    for name in ("alice", "bob"):
        env = {"SYNAPSE_NOTE_IMPORTS": str(stage.notes)}
        stage.agents[name] = stage.start(name, "demo", "--answer", "reply", env=env)
        until(lambda name=name: stage.json("status", name)["live"]["status"] in IDLE, f"{name} is ready")
        stage.note(stage.agents[name]["pid"])
    answer = stage.run("send", "alice", "ask bob what 6*7 is", "--wait", "--timeout", str(BOUND - 10))
    demand("42" in answer, f"the answer is {answer!r}")
    stage.run("broadcast", "hello to those with an i", "--to", "*i*")


def memory(stage):
    "something is remembered and found, in any letters"
    stage.run("memory", "save", "self/test", "tokens live 15 minutes: ünïcödé ✓", "--tags", "api")
    demand("ünïcödé ✓" in stage.run("memory", "show", "self/test"), "what was saved is not what is shown")
    demand("self/test" in stage.run("memory", "search", "token*"), "it is not found")
    stage.run("memory", "show", "sefl/test", status=1)


def table(stage):
    "the live list is drawn in a terminal"
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(stage.project)
        os.execve(stage.bin / "synapse", ["synapse", "list"], {**stage.env, "TERM": "xterm-256color"})
    seen = b""
    end = time.monotonic() + BOUND
    while not (b"alice" in seen and b"bob" in seen):
        demand(select.select([master], [], [], max(0.0, end - time.monotonic()))[0], f"no table: {seen[-2000:]!r}")
        seen += os.read(master, 65536)
    os.write(master, b"q")
    with suppress(OSError):
        while os.read(master, 65536):
            pass
    demand(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, "it does not leave by q")
    os.close(master)


def children(stage):
    "an agent sees the person's environment, and nothing of the loader"
    for name, given in (("own", {"LD_LIBRARY_PATH": OURS, "VIRTUAL_ENV": "/a/venv"}), ("none", {})):
        file = stage.folder / f"{name}.env"
        script = f"env > {file}.new; mv {file}.new {file}; exec sleep 300"
        stage.start(name, "--", "sh", "-c", script, env=given)
        lines = until(lambda file=file: file.exists() and file.read_text(), "its environment").splitlines()
        found = dict(line.partition("=")[::2] for line in lines if "=" in line)
        demand(not [one for one in found if one.startswith("_PYI") or one.endswith("_ORIG")], f"a child sees {found}")
        for variable in ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "VIRTUAL_ENV"):
            demand(found.get(variable) == given.get(variable), f"a child's {variable} is {found.get(variable)}")
        demand("_internal" not in found.get("PATH", ""), f"a child's PATH is {found.get('PATH')}")
        stage.run("kill", "-f", name)


def hooks(stage):
    "what programs' hooks call: `hook` and `permit`"
    stage.run("hook", "Stop", "{}")
    words = [str(stage.bin / "synapse"), "permit"]
    asked = json.dumps({"tool_input": {"command": 'synapse reply "done"'}}).encode()
    said = subprocess.run(words, env=stage.env, input=asked, stdout=subprocess.PIPE, timeout=BOUND, check=True).stdout
    demand(b"allow" in said, f"permit says {said!r}")


def restart(stage):
    "the hub is killed; the next one knows everything, and the agents come back"
    before = stage.json("history", "list")
    os.kill(stage.hubs[-1], signal.SIGKILL)
    stage.server.wait(BOUND)
    demand("self/test" in stage.run("memory", "list"), "the next hub does not remember")
    again = stage.json("history", "list")
    demand(before == again, f"the history was {before}, is {again}")
    answer = stage.run("send", "alice", "ask bob what 5*5 is", "--wait", "--timeout", str(BOUND - 10))
    demand("25" in answer, f"after the restart the answer is {answer!r}")


def late_imports(stage):
    "nothing was imported once the hub, and the agents, were ready"
    if not stage.frozen:
        return "not run"
    for pid, count in stage.noted.items():
        late = stage.imported(pid)[count:]
        what = f"the hub {pid}" if pid in stage.hubs else f"the runner {pid}"
        demand(not late, f"{what} has imported {' '.join(late)} after it was ready")
    return None


def library(stage):
    "the whole standard library can be imported"
    found = stage.inside("library")
    words = [sys.executable, "-I", str(INSIDE), "library"]
    env = {**os.environ, "SETUPTOOLS_USE_DISTUTILS": "stdlib"}  # what is installed beside it does not count
    here = json.loads(subprocess.run(words, env=env, stdout=subprocess.PIPE, check=True, timeout=BOUND).stdout)
    lacking = {name: found["missing"].get(name) for name in set(here["there"]) - set(found["there"])}
    demand(not lacking, f"it cannot import {lacking}")
    demand(len(found["there"]) > 250, f"only {len(found['there'])} modules")


def processes(stage):
    "multiprocessing works, by every way"
    for way, answer in stage.inside("processes").items():
        demand(answer == [0, 1, 4, 9, 16], f"{way}: {answer}")


def pip(stage):
    "pip is there, for plugins"
    if stage.frozen:
        said = stage.run("_pip", "--version")
    else:
        words = [str(stage.python), "-I", "-m", "pip", "--version"]
        said = subprocess.run(words, env=stage.env, stdout=subprocess.PIPE, text=True, timeout=BOUND, check=True).stdout
    demand(said.startswith("pip "), "it has no pip")


def third_party(stage):
    "a plugin of somebody else's is installed, used and removed"
    source = ROOT / "docs" / "plugin-example"
    project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    name, version = project["name"].replace("-", "_"), project["version"]
    points = "".join(f"{key} = {value}\n" for key, value in project["entry-points"]["synapse.plugins"].items())
    files = {
        "tally.py": (source / "tally.py").read_text(),
        "METADATA": f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {version}\n",
        "WHEEL": "Wheel-Version: 1.0\nGenerator: selftest\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "entry_points.txt": f"[synapse.plugins]\n{points}",
        "RECORD": "",
    }
    made = stage.folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(made, "w") as wheel:
        for file, text in files.items():
            wheel.writestr(file if file == "tally.py" else f"{name}-{version}.dist-info/{file}", text)
    stage.run("plugins", "install", str(made))
    stage.run("restart")
    demand(stage.run("tally", "bugs", "--amount", "2") == "bugs: 2\n", "the plugin's command does not count")
    stage.run("plugins", "remove", "tally")
    stage.run("restart")
    stage.run("tally", "bugs", status=2)


def doctor(stage):
    "`doctor` finds nothing wrong"
    found = stage.json("doctor")
    bad = [one for one in found["checks"] if one["state"] == "fail"]
    demand(not bad, f"doctor: {bad}")


def the_end(stage):
    "everything ends when it is told to"
    stage.run("stop", "alice", "bob")
    stage.run("serve", "--stop")
    log = next(stage.home.rglob("hub.log")).read_text()
    wrong = [line for line in log.splitlines() if " ERROR " in line and TAKEN not in line]
    demand("Traceback" not in log and not wrong, log[-3000:])
    until(lambda: not stage.ours(), "all processes have ended", 10.0)


ACTS = (
    version, help_pages, hub, plugins, agents, memory, table, children, hooks, restart, doctor, pip, third_party, the_end,
    late_imports, library, processes,
)  # fmt: skip

if __name__ == "__main__":
    main()
