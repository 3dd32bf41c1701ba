"""Carry a schema change from staging to production, with proof."""

__version__ = "0.1.0"
