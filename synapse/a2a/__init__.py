"""A2A: the protocol by which programs of other makers ask our agents for work, and ours theirs."""
