"""Which foreign keys a catalog seems to lack: candidates with a confidence and with their reasons in words.

Names are split into words and looked up by them; nothing compares every column with every table.
"""
