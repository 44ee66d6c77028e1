"""Where the hub is: behind a local socket of this machine, or at a URL. Quick commands load this only for a URL."""

import os
from urllib.parse import urlsplit, urlunsplit

from synapse import names, paths
from synapse.errors import BadRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from urllib.parse import SplitResult

_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


def find(url: str, token: str = "") -> "tuple[str, str]":
    """The local socket of the hub at a URL where that is on this machine, which costs less ("" where it is elsewhere);
    and the token to show.

    A token means that somebody wants to come in with it, except inside an agent, whose hub is the one of its socket.
    BadRequest when the URL is none, or the file of the token cannot be read.
    """
    address(url)  # says at once what is wrong with it
    port = port_here(url)
    inside = bool(os.environ.get("SYNAPSE_AGENT_ID"))
    shown = token if port and inside else secret(token)
    socket = socket_of(port)
    if port and not shown and (socket == os.environ.get("SYNAPSE_SOCKET") or os.path.exists(socket)):
        return socket, ""
    return "", shown or secret()


def address(url: str) -> str:
    """Where the WebSocket of a hub is, from its URL (`http://host:8876`, `wss://host/ws`, `host:8876`)."""
    parts = _parts(url)
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or not parts.hostname or parts.username:
        raise BadRequest("bad_url", f"{url[:80]!r} is no hub: http://HOST:PORT, or https:// behind TLS.")
    path = parts.path.rstrip("/")
    return urlunsplit((scheme, parts.netloc, path if path.endswith("/ws") else f"{path}/ws", "", ""))


def port_here(url: str) -> int:
    """The port, where the URL names this machine; else 0."""
    parts = _parts(url)
    return (parts.port or 0) if parts.hostname in ("localhost", "127.0.0.1", "::1") else 0


def _parts(url: str) -> "SplitResult":
    usual = "https" if os.environ.get("SYNAPSE_USE_HTTPS", "").lower() in ("1", "true", "yes", "on") else "http"
    try:
        parts = urlsplit(url if "//" in url else f"{usual}://{url}")
        parts.port  # noqa: B018 - asked for: it raises when it is none
    except ValueError:
        raise BadRequest("bad_url", f"{url[:80]!r} is no hub: http://HOST:PORT, or https:// behind TLS.") from None
    return parts


def socket_of(port: int) -> str:
    """The local door of the hub on that port: the one that the environment names, or of this data folder."""
    named = os.environ.get("SYNAPSE_SOCKET", "")
    if os.path.basename(named) == f"hub-{port}.sock":
        return named
    return paths.hub_socket(paths.data_folder(), port)


def secret(token: str = "") -> str:
    """The token to show: the one given, or that of the environment, or of the file that it names."""
    if token or os.environ.get("SYNAPSE_TOKEN"):
        return token or os.environ["SYNAPSE_TOKEN"]
    file = os.environ.get("SYNAPSE_TOKEN_FILE", "")
    if not file:
        return ""
    try:
        with open(file, encoding="utf-8") as opened:
            found = opened.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest("bad_token_file", f"The token's file {file} cannot be read: {error}.") from None
    if not found:
        raise BadRequest("bad_token_file", f"The token's file {file} holds no token.")
    return found


def abroad(hello: "dict[str, object]") -> "dict[str, object]":
    """The first frame for a hub of another machine: a folder means nothing there but by its name."""
    folder = str(hello.get("folder", ""))
    told = {name: value for name, value in hello.items() if name != "folder"}
    if folder:
        told["workspace"] = names.fit(os.path.basename(folder), "default")
    return told
