"""The runner: one process per agent; it owns a pseudo-terminal and outlives the hub."""
