"""Connections that only read: each serves one page at a time, so that no reader holds the file for long."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from synapse.log.trouble import unreadable


class Readers:
    """A pool as large as there were ever readers at the same moment; any thread may take from it."""

    def __init__(self, path: Path, connect: Callable[[], apsw.Connection]) -> None:
        self._path = path
        self._connect = connect
        self._idle: list[apsw.Connection] = []
        self._closed = False

    @contextmanager
    def page(self) -> Iterator[apsw.Connection]:
        """One view of the log; raises Unavailable when it cannot be read."""
        connection = None
        try:
            connection = self._take()
            connection.execute("BEGIN")
            yield connection
            connection.execute("COMMIT")
        except apsw.Error as error:
            raise unreadable(error, self._path) from error
        finally:
            if connection is not None:
                self._give_back(connection)

    def close(self) -> None:
        """Close what is idle now, and the rest when it comes back."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> apsw.Connection:
        try:
            return self._idle.pop()  # atomic: no lock
        except IndexError:
            return self._connect()

    def _give_back(self, connection: apsw.Connection) -> None:
        if connection.in_transaction:  # an error, or the page was left early
            connection.close(True)
        else:
            self._idle.append(connection)
        if self._closed:
            self.close()
