"""Files that must be on disk before what they admit is used (PROTOCOL.md §7, "Who is who")."""

from __future__ import annotations

import os
from pathlib import Path


def _write(path: Path, mode: str, content: str) -> None:
    with path.open(mode, encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    """Makes a new name in a folder last, too."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_lines(path: Path) -> list[str]:
    """The lines that are not blank; none if there is no such file."""
    if not path.exists():
        return []
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def append_line(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, "a", line + "\n")
    _sync_folder(path)


def replace_lines(path: Path, lines: list[str]) -> None:
    """All at once: a crash leaves the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    _write(beside, "w", "".join(line + "\n" for line in lines))
    beside.replace(path)
    _sync_folder(path)
