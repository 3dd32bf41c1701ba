"""One file per thing outside: core values in, core values out."""
