"""Values and decisions: no clock, no socket, no driver, no file."""
