"""The event log: one protocol, several engines."""
