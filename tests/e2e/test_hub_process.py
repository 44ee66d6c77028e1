"""The hub as a process: started when needed, one per data folder, ended in order, and what it says when it cannot."""

import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.hubs import HubProcess, alive, free_port, until

NOTE = ("send", "--silent", "me")


@pytest.fixture
def other() -> Iterator[HubProcess]:
    process = HubProcess()
    yield process
    process.close()


def notes(hub: HubProcess) -> list[str]:
    """The texts of all messages in the log."""
    with hub.peer() as peer:
        peer.hello()
        found, after = [], 0
        while True:
            page = peer.ask("events.page", after=after, limit=1000)["result"]
            found += [e["body"]["text"] for e in page["events"] if e["kind"] == "messages.sent"]
            if page["next"] == after:
                return found
            after = page["next"]


# -- started when needed


def test_twenty_commands_at_once_start_one_hub_and_all_succeed(hub_process: HubProcess) -> None:
    commands = [hub_process.start(*NOTE, f"note {number}") for number in range(20)]
    ended = [(*command.communicate(timeout=30), command.returncode) for command in commands]
    assert [status for _, _, status in ended] == [0] * 20, ended
    assert sorted(notes(hub_process)) == sorted(f"note {number}" for number in range(20))
    assert hub_process.hubs() == [hub_process.pid]
    assert hub_process.log.count("ready in") == 1


def test_no_start_starts_nothing(hub_process: HubProcess) -> None:
    done = hub_process.synapse(*NOTE, "x", "--no-start")
    assert (done.returncode, done.stderr) == (1, "synapse: No hub is running here: `synapse serve` starts one.\n")
    assert hub_process.hubs() == []


def test_a_command_inside_an_agent_waits_for_a_hub_and_starts_none(hub_process: HubProcess) -> None:
    inside = {"SYNAPSE_AGENT_ID": "synapse-claude-8100"}
    command = hub_process.start(*NOTE, "x", env=inside)
    hub_process.serve()
    _, complained = command.communicate(timeout=10)
    assert "not here any more" in complained  # it was answered: that agent is not known to this new hub


def test_the_hub_in_the_background_holds_nothing_of_its_starter(hub_process: HubProcess) -> None:
    read, write = os.pipe()
    assert (
        hub_process.synapse(*NOTE, "x", pass_fds=(write,)).returncode == 0
    )  # `| cat` ends: its pipes were read to the end
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == b""
    held = {os.readlink(place) for place in Path(f"/proc/{hub_process.pid}/fd").iterdir()}
    assert not [place for place in held if place.startswith("pipe:")]
    assert os.getsid(hub_process.pid) == hub_process.pid
    assert os.readlink(f"/proc/{hub_process.pid}/cwd") == "/"


def test_what_the_hub_makes_is_this_users_alone(hub_process: HubProcess) -> None:
    hub_process.env["HOME"] = str(hub_process.data)
    assert hub_process.synapse(*NOTE, "x", umask=0).returncode == 0
    open_to_others = [place for place in hub_process.data.rglob("*") if place.lstat().st_mode & 0o077]
    assert open_to_others == []


def test_commands_while_the_hub_is_ended_again_and_again_all_succeed(hub_process: HubProcess) -> None:
    stop = threading.Event()

    def end() -> None:
        while not stop.wait(0.3):
            hub_process.synapse("serve", "--stop")

    ender = threading.Thread(target=end)
    ender.start()
    try:
        done = [hub_process.synapse(*NOTE, f"note {number}") for number in range(12)]
    finally:
        stop.set()
        ender.join()
    assert [one.returncode for one in done] == [0] * 12, [one.stderr for one in done]
    assert hub_process.synapse(*NOTE, "last").returncode == 0
    assert notes(hub_process) == [*(f"note {number}" for number in range(12)), "last"]


def test_a_hub_that_was_killed_leaves_nothing_in_the_way(hub_process: HubProcess) -> None:
    assert hub_process.synapse(*NOTE, "one").returncode == 0
    path = hub_process.told["socket"]
    hub_process.kill()
    assert os.path.exists(path)
    assert hub_process.synapse(*NOTE, "two").returncode == 0
    assert notes(hub_process) == ["one", "two"]


# -- one per folder


def test_a_second_hub_says_on_which_port_the_first_one_is(hub_process: HubProcess) -> None:
    hub_process.serve()
    second = hub_process.synapse("serve", "--port", str(free_port()))
    assert second.returncode == 1
    who = f"A hub on port {hub_process.port} (process {hub_process.pid})"
    assert second.stderr == f"synapse: {who} has {hub_process.data} already: `synapse serve --stop` ends it.\n"


def test_two_hubs_do_not_write_one_file(hub_process: HubProcess, other: HubProcess) -> None:
    file = str(hub_process.data / "shared.db")
    hub_process.serve("--db", file)
    second = other.synapse("serve", "--db", file)
    assert second.returncode == 1
    assert f"A hub on port {hub_process.port} (process {hub_process.pid})" in second.stderr


def test_a_command_for_another_port_follows_to_the_hub_that_has_the_folder(hub_process: HubProcess) -> None:
    hub_process.serve()
    done = hub_process.synapse(*NOTE, "x", env={"SYNAPSE_PORT": str(free_port())})
    assert done.returncode == 0
    assert done.stderr == f"synapse: the hub of this data folder is on port {hub_process.port}: using that one.\n"


def test_two_hubs_on_one_port_are_told_apart(hub_process: HubProcess, other: HubProcess) -> None:
    hub_process.serve()
    done = other.synapse(*NOTE, "x", env={"SYNAPSE_PORT": str(hub_process.port)})
    assert done.returncode == 1
    assert "the hub of another data folder listens there" in done.stderr
    assert "SYNAPSE_PORT" in done.stderr
    until(lambda: other.hubs() == [])


def test_a_port_that_another_program_has_is_said(hub_process: HubProcess) -> None:
    with socket.create_server(("127.0.0.1", hub_process.port)):
        done = hub_process.synapse(*NOTE, "x")
        foreground = hub_process.synapse("serve")
    for one in (done, foreground):
        assert one.returncode == 1
        assert f"Port {hub_process.port} on 127.0.0.1 cannot be had: another program listens there." in one.stderr
        assert "Traceback" not in one.stderr
    assert hub_process.synapse(*NOTE, "x").returncode == 0  # and when it has gone, all is well


def test_an_address_that_others_can_reach_is_refused(hub_process: HubProcess) -> None:
    done = hub_process.synapse("serve", "--host", "0.0.0.0")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "there is no token" in done.stderr


# -- places


def test_a_path_too_long_for_a_socket_gets_a_short_private_one(hub_process: HubProcess, tmp_path: Path) -> None:
    deep = HubProcess(hub_process.data / ("x" * 120))
    deep.data.mkdir()
    deep.env["TMPDIR"] = str(tmp_path)
    try:
        assert deep.synapse(*NOTE, "x").returncode == 0
        path = Path(deep.told["socket"])
        assert len(str(path)) <= 103
        assert path.parent.stat().st_mode & 0o777 == 0o700
        assert deep.synapse(*NOTE, "y", "--no-start").returncode == 0
    finally:
        deep.close()
    path.parent.rmdir()


def complaint(hub: HubProcess, *words: str) -> str:
    """What a command says that cannot work, in one line and without a traceback."""
    done = hub.synapse(*(words or (*NOTE, "x")))
    assert done.returncode == 1, done
    assert done.stderr.startswith("synapse: "), done.stderr
    assert "Traceback" not in done.stderr + hub.log
    return done.stderr


def test_a_folder_of_somebody_else_is_refused(hub_process: HubProcess) -> None:
    if os.getuid() == 0:
        theirs = hub_process.data / "theirs"
        theirs.mkdir()
        os.chown(theirs, 65534, 65534)
        hub_process.env["SYNAPSE_DATA"] = str(theirs)
    else:
        hub_process.env["SYNAPSE_DATA"] = "/usr"
    assert "another user" in complaint(hub_process) or "cannot be made" in complaint(hub_process)


def test_a_folder_that_others_may_write_in_is_refused_and_left_as_it_is(hub_process: HubProcess) -> None:
    (hub_process.data / "something").touch()
    hub_process.data.chmod(0o777)
    assert "Others may write" in complaint(hub_process)
    assert hub_process.data.stat().st_mode & 0o777 == 0o777


@pytest.fixture
def small_disk(hub_process: HubProcess) -> Iterator[Path]:
    """The data folder as a disk of 2 MB of its own."""
    mounted = os.getuid() == 0 and not subprocess.call(
        ["mount", "-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", str(hub_process.data)], stderr=subprocess.DEVNULL
    )
    if not mounted:
        pytest.skip("not run: a small disk can only be mounted by root")
    yield hub_process.data
    hub_process.close()
    hub_process.served.clear()
    subprocess.check_call(["umount", "-l", str(hub_process.data)])


def test_a_folder_that_cannot_be_written_is_said(hub_process: HubProcess, small_disk: Path) -> None:
    subprocess.check_call(["mount", "-o", "remount,ro", str(small_disk)])
    assert "Read-only file system" in complaint(hub_process)
    assert "Read-only file system" in hub_process.synapse("serve").stderr
    subprocess.check_call(["mount", "-o", "remount,rw", str(small_disk)])
    assert hub_process.synapse(*NOTE, "x").returncode == 0


def fill(disk: Path) -> Path:
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    return filler


def test_a_full_disk_is_said_and_when_it_is_not_full_any_more_the_hub_goes_on(
    hub_process: HubProcess, small_disk: Path
) -> None:
    assert hub_process.synapse(*NOTE, "before").returncode == 0
    pid = hub_process.pid
    filler = fill(small_disk)
    refused = [hub_process.synapse(*NOTE, f"refused {number} " + "x" * 6000) for number in range(6)]
    assert {one.returncode for one in refused} <= {0, 1}
    assert "is full" in refused[-1].stderr, refused[-1]
    assert hub_process.synapse("who").returncode == 0  # reading goes on
    filler.unlink()
    until(lambda: hub_process.synapse(*NOTE, "after").returncode == 0)
    assert hub_process.pid == pid
    stored = [text.split(" x")[0] for text in notes(hub_process)]
    accepted = [f"refused {n}" for n, one in enumerate(refused) if one.returncode == 0]
    assert stored == ["before", *accepted, "after"]
    assert "Traceback" not in hub_process.log


def test_a_hub_on_a_full_disk_starts_and_says_so(hub_process: HubProcess, small_disk: Path) -> None:
    assert hub_process.synapse(*NOTE, "before").returncode == 0
    hub_process.kill()
    filler = fill(small_disk)
    done = hub_process.synapse(*NOTE, "x" * 9000)
    assert done.returncode == 1
    assert "full" in done.stderr
    filler.unlink()
    until(lambda: hub_process.synapse(*NOTE, "after").returncode == 0)
    assert notes(hub_process) == ["before", "after"]


def test_a_log_of_a_newer_synapse_is_left_alone(hub_process: HubProcess) -> None:
    assert hub_process.synapse(*NOTE, "x").returncode == 0
    hub_process.synapse("serve", "--stop")
    path = hub_process.data / "synapse.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = path.read_bytes()
    assert "newer" in complaint(hub_process)
    assert path.read_bytes() == before


def test_a_damaged_log_is_said_with_what_to_do(hub_process: HubProcess) -> None:
    assert hub_process.synapse(*NOTE, "x").returncode == 0
    hub_process.synapse("serve", "--stop")
    path = hub_process.data / "synapse.db"
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(content)
    assert "is damaged" in complaint(hub_process)
    path.write_bytes(b"this is no database " * 300)
    assert "is damaged" in complaint(hub_process)


# -- in the foreground, and its end


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_hub_in_the_foreground_ends_in_order(hub_process: HubProcess, number: signal.Signals) -> None:
    process = hub_process.serve()
    path = hub_process.told["socket"]
    with hub_process.peer() as peer:
        peer.hello()
        process.send_signal(number)
        assert peer.frame() == {"jsonrpc": "2.0", "method": "stopping", "params": {"restart": False}}
        assert peer.line() == b""
    _, complained = process.communicate(timeout=10)
    assert process.returncode == 0
    assert f"on 127.0.0.1:{hub_process.port}" in complained
    assert "Traceback" not in complained
    assert not os.path.exists(path)
    assert not (hub_process.data / "synapse.db-wal").exists()


def test_a_hub_in_the_background_has_no_terminal_to_lose(hub_process: HubProcess) -> None:
    assert hub_process.synapse(*NOTE, "x").returncode == 0
    pid = hub_process.pid
    os.kill(pid, signal.SIGHUP)
    assert hub_process.synapse(*NOTE, "y", "--no-start").returncode == 0
    assert hub_process.pid == pid
    os.kill(pid, signal.SIGTERM)
    until(lambda: not alive(pid))
    assert hub_process.log.rstrip().endswith("stopping")


def test_serve_stop_ends_it_and_says_which(hub_process: HubProcess) -> None:
    assert hub_process.synapse(*NOTE, "x").returncode == 0
    pid = hub_process.pid
    with hub_process.peer() as peer:
        peer.hello()
        done = hub_process.synapse("serve", "--stop")
        assert peer.frame()["params"] == {"restart": False}
    assert (done.returncode, done.stdout) == (0, f"stopped the hub on port {hub_process.port}\n")
    assert not alive(pid)
    assert hub_process.synapse("serve", "--stop").returncode == 1


def test_restart_tells_who_is_there_that_another_hub_comes(hub_process: HubProcess) -> None:
    assert hub_process.synapse(*NOTE, "x").returncode == 0
    pid = hub_process.pid
    with hub_process.peer() as peer:
        peer.hello()
        done = hub_process.synapse("restart")
        assert peer.frame()["params"] == {"restart": True}
    assert done.returncode == 0, done.stderr
    assert hub_process.pid not in (0, pid)
    assert notes(hub_process) == ["x"]


def test_an_ephemeral_hub_leaves_nothing_behind(hub_process: HubProcess) -> None:
    process = hub_process.serve("--ephemeral", "--port", "0", env={"TMPDIR": str(hub_process.data)})
    [folder] = [place for place in hub_process.data.iterdir() if place.name.startswith("synapse-")]
    assert (folder / "synapse.db").exists()
    process.terminate()
    _, complained = process.communicate(timeout=10)
    assert process.returncode == 0
    assert str(folder) in complained
    assert not folder.exists()


def test_port_zero_takes_a_free_one_and_tells_it(hub_process: HubProcess) -> None:
    hub_process.serve("--port", "0")
    assert hub_process.told["port"] not in (0, hub_process.port)
    with socket.create_connection(("127.0.0.1", hub_process.told["port"]), timeout=5) as connection:
        connection.sendall(b"GET /ready HTTP/1.0\r\nHost: localhost:%d\r\n\r\n" % hub_process.told["port"])
        with connection.makefile("rb") as file:
            answer = file.read()
    assert answer.startswith(b"HTTP/1.0 200")
    assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"status": "ok", "reason": ""}


def test_as_many_files_may_be_open_as_the_system_allows(hub_process: HubProcess) -> None:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 6528:
        pytest.skip(f"not run: only {hard} open files are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        process = hub_process.serve()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert resource.prlimit(process.pid, resource.RLIMIT_NOFILE) == (6528, hard)


WORKLOAD = """
import asyncio, json, os, sys, tempfile

from synapse.server.start import start  # what `synapse serve` imports
from synapse.server.app import Options, Server
from synapse.hub.core import VERBS

async def main():
    with tempfile.TemporaryDirectory(prefix="syn-") as data:
        async with Server(Options(data, port=0)) as server:
            ready = set(sys.modules)
            readers = []
            for name in ("ada", "bob"):
                reader, writer = await asyncio.open_unix_connection(server.door.path, limit=1 << 24)
                readers.append((reader, writer))
                ask = lambda verb, **params: (json.dumps({"id": 1, "method": verb, "params": params}) + "\\n").encode()
                writer.write(ask("hello", **{"as": name, "folder": data}))
                writer.write(ask("events.follow", presence=True))
                for to in ("me", "nobody", "all", "ada,bob", "b*"):
                    for mode in ("silent", "notify"):
                        writer.write(ask("messages.send", to=to, text="x" * 50_000, mode=mode, idempotency_key=to + mode))
                for verb in VERBS:
                    if not verb.internal and verb.name != "hub.shutdown":
                        full = ask(verb.name, task="t-0", target="ada", to="ada", text="x", id="x", timeout=0)
                        writer.write(ask(verb.name) + full)
                writer.write(b"nonsense\\n" + b"[" * 1000 + b"\\n" + ask("hub.statsu") + ask("hub.status"))
            await asyncio.sleep(1.0)
            port = server.core.hub.place.port
            http = await asyncio.open_connection("127.0.0.1", port)
            host = f"Host: localhost:{port}\\r\\n"
            pages = ("/health", "/ready", "/nothing", "/metrics", "/api/openapi.json", "/api/agents.list?all=true", "/ws")
            for path in pages:
                http[1].write(f"GET {path} HTTP/1.1\\r\\n{host}\\r\\n".encode())
            body = b'{"to":"ada","text":"x","from":"web"}'
            kind = "Content-Type: application/json\\r\\nContent-Length: %d" % len(body)
            http[1].write(f"POST /api/messages.send HTTP/1.1\\r\\n{host}{kind}\\r\\n\\r\\n".encode() + body)
            http[1].write(f"GET /ws HTTP/1.1\\r\\n{host}Upgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
                          "Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\\r\\n\\r\\n".encode())
            while b"101 Switching" not in await http[0].read(1 << 20):
                pass
            http[1].write(b"\\x89\\x80abcd" + b"\\x81\\x82abcd" + bytes([0x7b ^ 0x61, 0x7d ^ 0x62]))
            await http[0].read(100)
            http = await asyncio.open_connection("127.0.0.1", port)
            http[1].write(b"nonsense\\r\\n\\r\\n")
            await http[0].read(100)
            for _, writer in [*readers, http]:
                writer.close()
            await asyncio.sleep(0.1)
            print(json.dumps(sorted(set(sys.modules) - ready)))

asyncio.run(main())
"""


def test_nothing_is_imported_once_the_doors_are_open() -> None:
    """An upgrade deletes the files that a living hub would still want to import."""
    done = subprocess.run([sys.executable, "-c", WORKLOAD], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []


ROTATION = """
import logging, os, sys
from synapse.server import start
start.LOG_BYTES = 2000
os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
start._log_to(sys.argv[1], "info")
for number in range(200):
    logging.getLogger("x").info("line %s", number)
os.write(2, b"said on standard error\\n")
"""


def test_the_hubs_log_is_a_few_files_and_has_what_the_interpreter_says() -> None:
    with tempfile.TemporaryDirectory(prefix="syn-") as folder:
        path = Path(folder) / "hub.log"
        subprocess.run([sys.executable, "-c", ROTATION, str(path)], check=True, timeout=30)
        names = sorted(place.name for place in Path(folder).iterdir())
        assert names == ["hub.log", "hub.log.1", "hub.log.2", "hub.log.3"]
        assert path.read_text().endswith("said on standard error\n")
