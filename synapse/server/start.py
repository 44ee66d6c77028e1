"""From the command line to a running hub: its log file, its ready line, its errors."""

import asyncio
import logging
import logging.handlers
import os
import resource
import shutil
import sys
import tempfile
from io import TextIOWrapper
from typing import Any

from msgspec import json

from synapse import paths
from synapse.errors import Refused, SynapseError, Unavailable
from synapse.server.app import Options, Server, serve
from synapse.server.connection import MAX_CLIENTS
from synapse.server.hall import BEYOND
from synapse.server.platform import raise_descriptor_limit

LOG_BYTES, LOG_FILES = 5 << 20, 3
SPARE_FILES = 256  # what a hub may have open besides its connections

logger = logging.getLogger(__name__)


def start(
    *,
    host: str,
    port: int,
    db: str,
    ephemeral: bool,
    max_clients: int | None,
    rate: float | None,
    burst: float | None,
    log_level: str,
    background: bool,
    ready_fd: int | None,
    **more: Any,
) -> int:
    """Run a hub until it is told to stop; says why when it cannot start, and gives the exit status.

    `more` is what else `Options` has.
    """
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    umask = os.umask(0o077)  # whatever the hub makes is this user's alone
    folder = tempfile.mkdtemp(prefix="synapse-") if ephemeral else ""
    if folder:
        os.environ["SYNAPSE_DATA"] = folder
    data = paths.data_folder()
    defaults = Options(data)
    options = Options(
        data, host, port, db, max_clients or MAX_CLIENTS,
        defaults.rate if rate is None else rate, defaults.burst if burst is None else burst,
        passing=ephemeral, umask=umask, files=max(files, 0), **more,
    )  # fmt: skip
    try:
        _log_to("", log_level)
        paths.make_private(data)
        if background:
            _log_to(paths.log_file(data), log_level)
        _allow_connections(options.max_clients)
        asyncio.run(serve(options, lambda server: _ready(server, ready_fd), hang_up=not background))
    except SynapseError as error:
        _cannot(error, ready_fd, background)
        return 1
    except OSError as error:
        logger.exception("the hub cannot run")
        _cannot(Unavailable("hub_not_started", f"The hub cannot run: {error}."), ready_fd, background)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        logging.shutdown()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


def _allow_connections(most: int) -> None:
    """Files for the clients, and for half as many plain connections beside them."""
    most += most // 2 + BEYOND
    files = raise_descriptor_limit(most + SPARE_FILES)
    if files < most + SPARE_FILES:
        logger.warning("%s open files are allowed: fewer than the %s connections that may come", files, most)


class _HubLog(logging.handlers.RotatingFileHandler):
    """The hub's own log, a few files long; what the interpreter says on standard error goes there too."""

    def _open(self) -> TextIOWrapper:
        stream = super()._open()
        os.dup2(stream.fileno(), 2)
        return stream


def _log_to(file: str, level: str) -> None:
    handler: logging.Handler
    if file:
        try:
            handler = _HubLog(file, maxBytes=LOG_BYTES, backupCount=LOG_FILES, encoding="utf-8")
        except OSError as error:
            raise Refused("no_permission", f"{file} cannot be written: {error.strerror}.") from None
    else:
        handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _ready(server: Server, ready_fd: int | None) -> None:
    place = server.core.hub.place
    _tell(ready_fd, {"socket": server.door.path, "port": place.port, "pid": place.pid})


def _cannot(error: SynapseError, ready_fd: int | None, background: bool) -> None:
    if background:
        logger.log(logging.INFO if error.code == "held" else logging.ERROR, error.sentence)  # another was quicker
    else:
        os.write(2, f"synapse: {error.sentence}\n".encode("utf-8", "replace"))
    _tell(ready_fd, {"code": error.code, "message": error.sentence, "status": error.status})


def _tell(ready_fd: int | None, what: dict[str, object]) -> None:
    if ready_fd is not None:
        try:
            os.write(ready_fd, json.encode(what) + b"\n")
            os.close(ready_fd)
        except OSError:
            pass  # whoever started us does not listen any more
