"""A runner without a hub, for tests and load: child, model and viewers wired together, and the commands to look at it.

harness.py serve PATH [--size 80x24] [--owned] -- COMMAND...    the runner; prints `ready` once it can be attached
harness.py run PATH -- COMMAND...                               what `synapse run` does
harness.py attach PATH [--watch] [--key ctrl-x]                 what `synapse attach` does
"""

import argparse
import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synapse.errors import SynapseError

if TYPE_CHECKING:
    from synapse.runner.attach import Parting
    from synapse.runner.process import Child

OWNER_WITHIN = 2.0  # seconds that the child's first output waits for its viewer


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["serve", "run", "attach"])
    parser.add_argument("path", type=Path)
    parser.add_argument("--size", default="80x24")
    parser.add_argument("--owned", action="store_true")
    parser.add_argument("--cursor", default="")
    parser.add_argument("--watch", action="store_true")
    parser.add_argument("--key", default="ctrl-\\")
    given, command = _split(sys.argv[1:])
    options = parser.parse_args(given)
    options.command = command
    try:
        roles: dict[str, Callable[[argparse.Namespace], int]] = {"serve": serve, "run": run, "attach": look}
        return roles[options.role](options)
    except SynapseError as error:
        print(f"refused: {error.sentence}", file=sys.stderr)
        return int(str(error.details.get("status", 2)))


def _split(argv: list[str]) -> tuple[list[str], list[str]]:
    end = argv.index("--") if "--" in argv else len(argv)
    return argv[:end], argv[end + 1 :]


def serve(options: argparse.Namespace) -> int:
    from synapse.runner import platform
    from synapse.runner.process import Child
    from synapse.runner.spawn import become_session_leader

    become_session_leader()
    columns, rows = map(int, options.size.split("x"))
    child = Child.spawn(options.command, cwd=os.getcwd(), env=os.environ, columns=columns, rows=rows)
    with asyncio.Runner(loop_factory=platform.new_event_loop) as runner:
        return runner.run(_serve(child, options, columns, rows))


async def _serve(child: "Child", options: argparse.Namespace, columns: int, rows: int) -> int:
    from synapse.runner.flow import Flow
    from synapse.runner.process import ExitStatus
    from synapse.runner.terminal import Terminal
    from synapse.runner.viewers import Viewers

    loop = asyncio.get_running_loop()
    terminal = Terminal(columns, rows)
    viewers = Viewers(loop, child, terminal, options.path)
    flow = Flow(loop, child, terminal, viewers)
    ended: asyncio.Future[ExitStatus] = loop.create_future()
    owner_gone, joined = asyncio.Event(), asyncio.Event()
    viewers.on_owner_gone = owner_gone.set
    viewers.on_change = joined.set
    if options.cursor:
        viewers.begin_at(*map(int, options.cursor.split(",")))
    await viewers.open()
    options.path.with_suffix(".pids").write_text(f"{os.getpid()} {child.pid}")
    print("ready", flush=True)
    if options.owned:
        await _within(joined.wait(), OWNER_WITHIN)
    child.start(loop, flow.feed, ended.set_result, viewers.child_stopped)
    waiting = asyncio.ensure_future(owner_gone.wait())
    ended.add_done_callback(lambda _: waiting.cancel())
    await asyncio.wait([waiting])
    if not ended.done():
        child.hangup()
        await child.terminate(1.0)
    flow.catch_up()
    await viewers.finish(await ended)
    child.close()
    return (await ended).shell


async def _within(wish: Coroutine[object, object, object], seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(wish, seconds)


def run(options: argparse.Namespace) -> int:
    from synapse.runner.queries import PROBE
    from synapse.runner.user_terminal import UserTerminal

    with UserTerminal() as terminal:
        columns, rows = terminal.size()
        probe = terminal.probe(PROBE)
        arguments = ["--owned", "--size", f"{columns}x{rows}"]
        if probe.cursor:
            arguments += ["--cursor", ",".join(map(str, probe.cursor))]
        status = _begin(options, arguments)
        parting = look_at(options, owner=True, typed=probe.answer, terminal=terminal) if status == 0 else None
    return _end(parting) if parting else status


def _begin(options: argparse.Namespace, arguments: list[str]) -> int:
    """Start the runner; 0 once it can be attached, its exit status if it refuses."""
    command = [sys.executable, *harness(), "serve", str(options.path), *arguments, "--", *options.command]
    with options.path.with_suffix(".log").open("wb") as log:
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True
        )
    assert server.stdout
    if server.stdout.readline():
        server.returncode = 0  # it outlives us: nobody waits for it
        return 0
    status = server.wait()
    print(options.path.with_suffix(".log").read_text(), file=sys.stderr, end="")
    return status


def look(options: argparse.Namespace) -> int:
    return _end(look_at(options))


def look_at(options: argparse.Namespace, **more: Any) -> "Parting":
    from synapse.runner.attach import attach

    return attach(str(options.path), watch=options.watch, detach_key=options.key, **more)


def _end(parting: "Parting") -> int:
    from synapse.runner.attach import leave

    if parting.reason:
        print(f"[{parting.reason}]", file=sys.stderr)
    return leave(parting.status)


def harness() -> list[str]:
    """The arguments after python that run this file again."""
    return [__file__]


if __name__ == "__main__":
    sys.exit(main())
