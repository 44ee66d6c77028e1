"""Clients of a hub: `blocking` for commands, `aio` for programs with a loop."""
