"""The hub's process: its doors to the world, and who may come in."""
