"""Who runs a server that refuses to run as root, and where that user may keep data."""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import tempfile
from pathlib import Path
from typing import Any


def servant(*names: str) -> str | None:
    """The first of the users that this machine has, to run a server in root's stead; None where we are not root."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in (*names, "nobody") if name in known)


def run_as(user: str | None) -> dict[str, Any]:
    """The arguments with which `subprocess` runs a program as a user; None is whoever we are."""
    if user is None:
        return {}
    return {"user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


def data_folder(folder: Path, user: str | None) -> Path:
    """`folder`, made, or one of `user`'s own below the temporary folder where `folder` is closed to that user."""
    if user is not None and not all(parent.stat().st_mode & 0o001 for parent in folder.parents if parent.exists()):
        name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / f"dativo-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    if user is not None:
        shutil.chown(folder, user)
    return folder
