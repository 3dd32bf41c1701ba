"""Filling tables along a contract: how many rows, which parents, what stands in the columns.

Pure: it decides from a contract and a catalog; `adapters/loading.py` carries the rows into the database.
"""
