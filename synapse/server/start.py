"""From the command line to a running hub: its log file, its ready line, its errors."""

import asyncio
import logging
import logging.handlers
import os
import shutil
import sys
import tempfile

from msgspec import json

from synapse import paths
from synapse.errors import SynapseError
from synapse.server.app import Options, Server, serve
from synapse.server.local import MAX_CLIENTS

LOG_BYTES, LOG_FILES = 5 << 20, 3


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
) -> int:
    """Run a hub until it is told to stop; says why when it cannot start, and gives the exit status."""
    folder = tempfile.mkdtemp(prefix="synapse-") if ephemeral else ""
    if folder:
        os.environ["SYNAPSE_DATA"] = folder
    data = paths.data_folder()
    defaults = Options(data)
    options = Options(
        data, host, port, db, max_clients or MAX_CLIENTS,
        defaults.rate if rate is None else rate, defaults.burst if burst is None else burst,
    )  # fmt: skip
    try:
        paths.make_private(data)
        _log_to(paths.log_file(data) if background else "", log_level)
        asyncio.run(serve(options, lambda server: _ready(server, ready_fd)))
    except SynapseError as error:
        _cannot(error, ready_fd)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
    return 0


def _log_to(file: str, level: str) -> None:
    handler: logging.Handler
    if file:
        handler = logging.handlers.RotatingFileHandler(file, maxBytes=LOG_BYTES, backupCount=LOG_FILES)
    else:
        handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def _ready(server: Server, ready_fd: int | None) -> None:
    place = server.core.hub.place
    _tell(ready_fd, {"socket": server.door.path, "port": place.port, "pid": place.pid})


def _cannot(error: SynapseError, ready_fd: int | None) -> None:
    logging.getLogger(__name__).error(error.sentence)
    _tell(ready_fd, {"code": error.code, "message": error.sentence})


def _tell(ready_fd: int | None, what: dict[str, object]) -> None:
    if ready_fd is not None:
        try:
            os.write(ready_fd, json.encode(what) + b"\n")
            os.close(ready_fd)
        except OSError:
            pass  # whoever started us does not listen any more
