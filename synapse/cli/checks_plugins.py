"""What `doctor` looks at in the plugins that were installed: are they there, and do they fit, after an upgrade?"""

from collections.abc import Iterator

from synapse.cli.checks import WARN, Check
from synapse.cli.installing import stale


def plugins() -> "Iterator[Check]":
    """Is everything that `plugins install` has brought there for this synapse and this Python?"""
    for name, why in stale().items():
        yield Check(
            "plugins", WARN, f"{name} was installed, and {why}", "`synapse plugins sync`, then `synapse restart`."
        )


ALL = (plugins,)
