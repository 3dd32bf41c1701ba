"""The user guide: its commands are run, its reference is made from the code."""
