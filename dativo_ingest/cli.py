"""`python -m dativo_ingest.cli`: the same as `dativo`."""

from dativo.cli.app import main

if __name__ == "__main__":
    main()
