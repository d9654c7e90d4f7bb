"""CSV files in a folder: the tables of object stores (`dativo.targets.objects`) on a local disk.

`folder` is the store: a folder whose files are written whole or not at all, and replaced only on the condition that they
are still the ones that were read.
"""
