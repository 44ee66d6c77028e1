"""The watch on a plugin's functions: what holds the loop is named in the hub's log, and what ends the program does not."""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from typing import Any

from synapse.clock import SystemClock
from synapse.verb import Shape, Verb

logger = logging.getLogger("synapse.plugins")
SLOW = 0.1  # seconds that a plugin's function may hold the loop before the log says so
SLOW_START = 1.0  # the same for its import and its hooks, and for a thread that reads


def contained(owner: str, verb: Verb) -> Verb:
    """The verb with a watch on it."""
    run = watched(owner, verb.name, verb.run)
    if verb.shape is Shape.QUERY:
        chosen = run

        def run(*args: Any) -> Any:
            return watched(owner, verb.name, chosen(*args), tell=_tell_slow_reader)

    watches = verb.watches and watched(owner, verb.name, verb.watches)
    return replace(verb, owner=owner, run=run, watches=watches)


def tell_slow(owner: str, what: str, took: float) -> None:
    """Name what held the loop for too long."""
    if took > SLOW:
        logger.warning("the plugin %s held the hub for %.2f s in %s", owner, took, what)


def _tell_slow_reader(owner: str, what: str, took: float) -> None:
    if took > SLOW_START:
        logger.warning("the plugin %s kept a reader for %.2f s in %s", owner, took, what)


def watched(
    owner: str, what: str, run: Callable[..., Any], *, tell: Callable[[str, str, float], None] = tell_slow
) -> Callable[..., Any]:
    """A plugin's function: what holds the loop is named in the hub's log, and what ends the program does not."""

    @wraps(run)
    def watching(*args: Any) -> Any:
        began = SystemClock.monotonic()
        try:
            return run(*args)
        except SystemExit as error:
            raise RuntimeError(f"{what} of the plugin {owner} tried to end the program") from error
        finally:
            tell(owner, what, SystemClock.monotonic() - began)

    return watching
