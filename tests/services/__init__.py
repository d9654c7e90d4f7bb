"""Servers that tests talk to, started as native processes by whoever needs them: no Docker, nothing to install by hand."""
