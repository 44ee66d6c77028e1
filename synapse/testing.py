"""What a test of a plugin, or of anything that talks to a hub, needs."""
