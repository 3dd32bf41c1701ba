"""Killing deployments wherever the world outside changes, and comparing what comes of it."""
