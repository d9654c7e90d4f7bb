"""`python -m dativo`."""

from dativo.cli.app import main

main()
