"""The hub: decides on folded state, appends to the log, folds; everything beyond the core comes through the plugin door."""
