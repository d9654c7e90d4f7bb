"""`python -m dativo_ingest`: the same as `dativo`."""

from dativo.cli.app import main

main()
