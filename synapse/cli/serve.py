"""`serve` (and `hub`), `restart`: the hub's own life."""

import gc
import os

from synapse import paths, settings
from synapse.cli.command import AS_JSON, Command, Option
from synapse.cli.table import write
from synapse.client.blocking import Client
from synapse.client.lines import dumps
from synapse.errors import BadRequest, Refused, Unavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def serve(
    *,
    host: "str | None",
    port: "int | None",
    data: "str | None",
    db: "str | None",
    ephemeral: bool,
    max_clients: "int | None",
    rate: "float | None",
    burst: "float | None",
    log_level: "str | None",
    background: bool,
    ready_fd: "int | None",
    stop: bool,
    relay_log: "str | None",
    relay_max_lines: int,
    token: "tuple[str, ...]",
    token_file: "str | None",
    tls_cert: str,
    tls_key: str,
    insecure: bool,
    metrics: bool,
    no_metrics: bool,
    metrics_token: "str | None",
    no_agent_ports: bool,
    test_agent: bool,
) -> int:
    """Run the hub here until Ctrl-C; with --stop, end the one that runs."""
    _check(port, max_clients, rate, burst)
    if "" in (token_file, metrics_token):
        option = "--token-file" if token_file == "" else "--metrics-token"
        raise BadRequest("bad_token", f"{option} is empty: is the variable that it comes from set?")
    if metrics and no_metrics:
        raise BadRequest("two_ways", "--metrics and --no-metrics: one of them.")
    if data and ephemeral:
        raise BadRequest("two_folders", "--ephemeral takes a folder of its own: leave out --data.")
    if data:
        os.environ["SYNAPSE_DATA"] = data
    if port:
        os.environ["SYNAPSE_PORT"] = str(port)
    if stop:
        return _stop(port)
    gc.disable()  # until it serves: what is loaded and folded stays, so that looking through it finds nothing
    from synapse.server.start import start

    try:
        chosen = _chosen(
            host=host,
            port=port,
            max_clients=max_clients,
            max_per_host=None,
            rate=rate,
            burst=burst,
            log_level=log_level,
            agent_ports=False if no_agent_ports else None,
        )
    except BadRequest as error:
        if ready_fd is not None:  # whoever wants a hub is told why there is none
            os.write(ready_fd, dumps({"code": error.code, "message": error.sentence, "status": error.status}))
        raise
    return start(
        **chosen, db=db or "", ephemeral=ephemeral, background=background, ready_fd=ready_fd,
        relay_log=relay_log or "", relay_max_lines=relay_max_lines,
        token=token, token_file=token_file or "", tls_cert=tls_cert, tls_key=tls_key, insecure=insecure,
        metrics=True if metrics else False if no_metrics else None, metrics_token=metrics_token or "", test_agent=test_agent,
    )  # fmt: skip


def _chosen(**given: "str | float | None") -> "dict[str, Any]":
    """What was given, and for the rest what the user has chosen: a hub belongs to no project."""
    found = {name: settings.value(f"hub.{name}") if one is None else one for name, one in given.items()}
    return {**found, "disabled": settings.value("plugins.disabled")}


def _check(port: "int | None", max_clients: "int | None", rate: "float | None", burst: "float | None") -> None:
    if port is not None and not 0 <= port < 65536:
        raise BadRequest("bad_port", f"--port {port}: from 1 to 65535, or 0 for a free one.")
    if max_clients is not None and max_clients < 1:
        raise BadRequest("bad_number", f"--max-clients {max_clients}: 1 or more.")
    if (rate is not None and not rate >= 0) or (burst is not None and not burst >= 0):
        raise BadRequest("bad_number", "--rate and --burst: 0 (no limit) or more.")


def _stop(port: "int | None") -> int:
    said = _shut_down(port, restart=False)
    write(f"stopped the hub on port {said['port']}\n")
    return 0


def _shut_down(port: "int | None", *, restart: bool) -> "dict[str, object]":
    """End the hub of this data folder (that on `port`, if it is given), and wait until it has gone."""
    with Client(start=False, url="") as client:
        try:
            there = client.call("hub.status")["hub"]
        except Unavailable as error:
            if error.code == "no_hub":
                raise Unavailable("no_hub", f"No hub is running in {paths.data_folder()}.") from None
            raise
        assert isinstance(there, dict)
        if port and there["port"] != port:
            raise Refused("other_port", f"The hub of this data folder is on port {there['port']}, not {port}.")
        client.call("hub.shutdown", restart=restart)
    if not wait_gone(int(there["pid"])):
        raise Unavailable("still_there", f"The hub (process {there['pid']}) does not end: `kill -9 {there['pid']}`.")
    return there


def wait_gone(pid: int, seconds: float = 10.0) -> bool:
    """Wait until a process has ended (a hub closes its log first)."""
    import time

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if _zombie(pid):
            return True
        time.sleep(0.01)
    return False


def _zombie(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(") ")[2][:1] == "Z"
    except OSError:
        return False


def restart(*, as_json: bool) -> int:
    """End the hub and start one of this version; agents go on and come back to it."""
    from synapse.client.starting import launch

    data = paths.data_folder()
    port = settings.hub_port()
    try:
        port = int(str(_shut_down(None, restart=True)["port"]))
    except Unavailable as error:
        if error.code != "no_hub":
            raise
    os.environ["SYNAPSE_PORT"] = str(port)
    launch(data, paths.hub_socket(data, port))
    with Client(start=False, url="") as client:
        status = client.call("hub.status")
    hub = status["hub"]
    assert isinstance(hub, dict)
    write(dumps(status).decode() if as_json else f"{hub['start_line']}\n")
    return 0


_SERVE = (
    Option("--host", help="The address to listen on; else hub.host, 127.0.0.1."),
    Option("--port", kind=int, help="The port; else SYNAPSE_PORT, else hub.port, 8876. 0 takes a free one."),
    Option(
        "--data", help="The folder with everything in it; else SYNAPSE_DATA, else the usual place.", metavar="FOLDER"
    ),
    Option("--db", help="Another file for the log than synapse.db in the data folder.", metavar="FILE"),
    Option("--ephemeral", flag=True, help="A data folder of its own that is gone afterwards."),
    Option("--max-clients", kind=int, help="How many connections at once; else hub.max_clients."),
    Option("--rate", kind=float, help="Changes a second that one participant may make; 0: no limit; else hub.rate."),
    Option("--burst", kind=float, help="Changes that it may make at once; else hub.burst."),
    Option(
        "--log-level",
        choices=("debug", "info", "warning", "error"),
        help="How much the hub's log says; else hub.log_level, info.",
    ),
    Option(
        "--relay-log", metavar="FILE", help="Mirror what happens into this file, in few letters; see `synapse relay`."
    ),
    Option(
        "--relay-max-lines", kind=int, default=10_000, help="How many lines it holds; then its oldest quarter goes."
    ),
    Option(
        "--token",
        many=True,
        metavar="[SCOPES:]SECRET",
        help="A token for HTTP and WebSocket; others see it in `ps`, so a file is better.",
    ),
    Option("--token-file", metavar="FILE", help="Tokens, one a line, in a file that only you may read."),
    Option("--tls-cert", default="", metavar="FILE", help="The certificate, with --tls-key, for https."),
    Option("--tls-key", default="", metavar="FILE", help="Its key."),
    Option("--insecure", flag=True, help="Be reached from other machines without TLS."),
    Option("--metrics", flag=True, help="Tell /metrics also when other machines can ask."),
    Option("--no-metrics", flag=True, help="No /metrics."),
    Option("--metrics-token", metavar="SECRET", help="A token that opens /metrics alone."),
    Option("--no-agent-ports", flag=True, help="Agents get no ports of their own: /agents/NAME answers for them."),
    Option(
        "--test-agent", flag=True, help="Add an agent `tck` that answers those who test the protocol; see docs/a2a.md."
    ),
    Option("--background", flag=True, help="Write the log to the data folder.", hidden=True),
    Option("--ready-fd", kind=int, help="A descriptor on which to say when the doors are open.", hidden=True),
    Option("--stop", flag=True, help="End the hub that runs."),
)
COMMANDS = (
    Command(
        "serve",
        serve,
        "Run the hub in this terminal; --stop ends the one that runs.",
        *_SERVE,
        example="synapse serve --port 8876",
        quick=True,
    ),
    Command("hub", serve, "The same as `serve`.", *_SERVE, example="synapse hub --ephemeral", quick=True),
    Command(
        "restart",
        restart,
        "End the hub and start it again; agents come back to it.",
        AS_JSON,
        example="synapse restart",
    ),
)
