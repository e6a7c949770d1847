"""Child processes for the tests: lines in and out, every wait with a deadline.

The programs in the directory that CFB_CHAT_BIN names, `server` and `client`, are the other
implementation; without it only this one talks to itself.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
WAIT_SECONDS = 60.0
OTHER = os.environ.get("CFB_CHAT_BIN", "")


class Child:
    """A running program whose output is read line by line."""

    def __init__(self, *command: str) -> None:
        self.command = command
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )
        self.lines: queue.Queue[str | None] = queue.Queue()
        self.seen: list[str] = []
        self.errors: list[str] = []
        self.readers = [
            threading.Thread(target=self._read_output, daemon=True),
            threading.Thread(target=self._read_errors, daemon=True),
        ]
        for reader in self.readers:
            reader.start()

    def _read_output(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.put(line.rstrip("\n"))
        self.lines.put(None)

    def _read_errors(self) -> None:
        assert self.process.stderr
        self.errors.extend(self.process.stderr)

    def await_line(self, wanted: Callable[[str], bool], what: str) -> str:
        """The next line that is wanted; those before it are passed over."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            try:
                line = self.lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                raise AssertionError(f"{what} did not come\n{self.story()}")
            self.seen.append(line)
            if wanted(line):
                return line

    def await_error(self, wanted: Callable[[str], bool], what: str) -> str:
        """All of stderr so far, once it is wanted."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not wanted(told := "".join(self.errors)):
            if time.monotonic() > deadline:
                raise AssertionError(f"{what} did not come\n{self.story()}")
            time.sleep(0.02)
        return told

    def await_json(self, **wanted: object) -> dict:
        """The next JSON line that has these keys; a value that is not None must be equal."""

        def is_wanted(line: str) -> bool:
            value = json.loads(line)
            return all(
                key in value and (given is None or value[key] == given)
                for key, given in wanted.items()
            )

        return json.loads(self.await_line(is_wanted, str(wanted)))

    def await_said(self, sender: str, text: str, how: str = "said") -> None:
        """The next message shown, or whisper, or letter, must be this one."""
        said = self.await_json(**{how: None})[how]
        if (said["from"], said["text"]) != (sender, text):
            raise AssertionError(f"{said} is not {text!r} of {sender}\n{self.story()}")

    def await_port(self) -> int:
        """The port that the other implementation's server is on."""
        line = self.await_line(lambda line: "Running on port: " in line, "the port")
        return int(line.rsplit(" ", 1)[1])

    def write(self, line: str) -> None:
        assert self.process.stdin
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def close_input(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()

    def await_exit(self) -> int:
        try:
            return self.process.wait(WAIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end\n{self.story()}") from None

    def story(self) -> str:
        """What the program did, for a failure's message."""
        return "\n".join(
            [" ".join(self.command), *self.seen, "-- stderr", *self.errors]
        )

    def end(self) -> None:
        """Ends the program if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(WAIT_SECONDS)
        for reader in self.readers:
            reader.join(WAIT_SECONDS)
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                stream.close()  # type: ignore[union-attr]
            except BrokenPipeError:
                pass


def python_server(keys: Path, window: float = 120.0, access: str = "open") -> Child:
    return Child(
        sys.executable, str(HERE / "server.py"), "-p", "0", "--keys", str(keys), "--bits", "2048",
        "--resume-window", str(window), "--access", access,
    )  # fmt: skip


def python_client(
    port: int | None, name: str, keys: Path, *more: str, as_json: bool = True
) -> Child:
    """Without a port if an invitation says where to."""
    where = () if port is None else ("-s", "127.0.0.1", "-p", str(port))
    return Child(
        sys.executable, str(HERE / "client.py"), *where, "-u", name, "--keys", str(keys),
        "--bits", "2048", *["--json"] * as_json, *more,
    )  # fmt: skip


def other_server(keys: Path, *more: str, window: float | None = None) -> Child:
    """Their server, with its data beside its keys."""
    if window is not None:
        more = (*more, "--resume-window", f"{window:g}")
    return Child(str(Path(OTHER) / "server"), "-p", "0", "--keys", str(keys), "--data", str(keys / "data"), *more)


def other_client(port: int | None, name: str, keys: Path, *more: str) -> Child:
    """Without a port if an invitation says where to."""
    where = () if port is None else ("-s", "127.0.0.1", "-p", str(port))
    return Child(str(Path(OTHER) / "client"), *where, "-u", name, "--keys", str(keys), *more)
