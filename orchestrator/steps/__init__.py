"""One file per step of a runbook."""
