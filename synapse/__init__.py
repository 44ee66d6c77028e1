"""synapse: command-line coding agents as a team."""

__version__ = "0.1.0"
