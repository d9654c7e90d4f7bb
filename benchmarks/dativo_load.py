"""dativo as a program calls it: loads a job, runs it, prints the receipt.

python dativo_load.py JOB
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Runs the job; its exit code is this program's."""
    from dativo import load_job, sync

    receipt = sync(load_job(Path(sys.argv[1])))
    print(receipt)
    sys.exit(receipt.exit_code)


if __name__ == "__main__":
    main()
