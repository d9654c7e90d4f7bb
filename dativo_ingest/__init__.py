"""The name under which the reference implementation is run: the same program as `dativo`."""
