"""A setting as a command wants it, in the folder where it runs. Quick commands import this: nothing heavy here."""

import os

from synapse import paths, settings


def chosen(key: str) -> object:
    """A setting's value; on standard error, what a project's file says that it may not say and that has no effect."""
    from synapse.cli.errors import say

    def tell(sentence: str) -> None:
        say(f"synapse: {sentence}\n".encode("utf-8", "replace"))

    return settings.value(key, paths.project(os.getcwd()), tell=tell)
