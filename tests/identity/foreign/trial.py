"""A key file on both programs, and the command of the hint on the file."""

import os
import pty
import re
import select
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

PASSPHRASE = "correct horse"
COMMAND = re.compile(r"stays the same key: (.*?)(?:; otherwise|\n|$)")
# Before these words stands no file that is whole.
ABANDONS = ("move the file away", "unknown to all others")


@dataclass
class Row:
    """A file and what is expected of it: `taken`, `rewritten` (by the hint's command) or `refused`."""

    group: str
    name: str
    content: bytes
    expected: str
    # The name of the key pair that the file has to be, for comparison.
    public: str | None = None
    is_public: bool = False
    is_damaged: bool = False
    has_passphrase: bool = False


@dataclass
class Outcome:
    row: Row
    is_taken: bool
    is_rewritten: bool = False
    words: str = ""
    command: str = ""
    faults: list = field(default_factory=list)

    def line(self):
        state = "taken" if self.is_taken else "rewritten" if self.is_rewritten else "refused"
        return f"{state:10} {self.row.group}: {self.row.name}" + (f"\n           {self.words}" if self.words else "")


def dead_port():
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


class Trial:
    def __init__(self, programs, row):
        self.programs, self.row = programs, row

    def run(self):
        with tempfile.TemporaryDirectory(prefix="foreign keys ") as folder:
            return self._run(Path(folder))

    def _run(self, folder):
        os.chmod(folder, 0o700)
        (folder / "passphrase").write_text(PASSPHRASE + "\n")
        os.chmod(folder / "passphrase", 0o600)
        row = self.row
        outcomes = []
        for stem in ("client_Ira", "server"):
            keys = folder / stem
            keys.mkdir(mode=0o700)
            file = keys / f"{stem}_{'public' if row.is_public else 'private'}_key.pem"
            file.write_bytes(row.content)
            file.chmod(0o600)
            if row.is_public:
                private = keys / f"{stem}_private_key.pem"
                private.write_bytes(self.base_private())
                private.chmod(0o600)
            outcomes.append(self.attempt(stem, keys, file))
        client, server = outcomes
        if (client.is_taken, client.is_rewritten) != (server.is_taken, server.is_rewritten):
            client.faults.append("client and server differ")
        client.faults += [fault for fault in server.faults if fault not in client.faults]
        return client

    @staticmethod
    def base_private():
        from tools import base

        return base().read_bytes()

    def attempt(self, stem, keys, file):
        row = self.row
        before = file.read_bytes()
        ended = self.start(stem, keys)
        outcome = Outcome(row, is_taken=ended.returncode == 0)
        if file.read_bytes() != before:
            outcome.faults.append("the file was changed")
        if not outcome.is_taken:
            words = ended.stderr.replace(str(keys) + "/", "").strip()
            outcome.words = words
            if "error: " not in words or "\nhint: " not in words:
                outcome.faults.append("no error with a hint")
            if not row.is_damaged and not row.is_public and any(part in words for part in ABANDONS):
                outcome.faults.append("a whole file is to be moved away")
            command = COMMAND.search(ended.stderr)
            if command:
                outcome.command = command[1].replace(str(keys) + "/", "")
                said = on_terminal(command[1], PASSPHRASE if row.has_passphrase else "")
                again = self.start(stem, keys)
                outcome.is_rewritten = again.returncode == 0
                if not outcome.is_rewritten and row.expected == "rewritten":
                    outcome.faults.append(f"the command did not help: {said}\n{again.stderr}")
            elif row.is_public and "remove " in words:
                file.unlink()
                outcome.is_rewritten = self.start(stem, keys).returncode == 0
        state = "taken" if outcome.is_taken else "rewritten" if outcome.is_rewritten else "refused"
        if state != row.expected:
            outcome.faults.append(f"{state}, and {row.expected} was expected")
        if state != "refused" and row.public:
            # The server's check writes nothing, and OpenSSL does not read all that is taken.
            written = keys / f"{stem}_public_key.pem"
            seen = written.read_text() if stem != "server" else openssl_public(keys / f"{stem}_private_key.pem")
            if seen != row.public and (seen or stem != "server") and not row.is_public:
                outcome.faults.append("another key")
            if (keys / f"{stem}_private_key.pem").stat().st_mode & 0o077:
                outcome.faults.append("others can read the rewritten key")
        return outcome

    def start(self, stem, keys):
        """Lets a program use its keys; status 0 if it can."""
        more = ["--passphrase-file", str(keys.parent / "passphrase")] if self.row.has_passphrase else []
        if stem == "server":
            line = [self.programs / "server", "-p", "0", "--check", "--data", keys.parent / "data", "--keys", keys]
        else:
            line = [self.programs / "client", "-p", str(dead_port()), "-u", "Ira", "--keys", keys]
        ended = subprocess.run(
            [*map(str, line), *more], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60
        )
        # The client goes on to the server, and there is none.
        if stem != "server":
            ended.returncode = 0 if ended.returncode == 4 else ended.returncode or 1
        return ended


def openssl_public(file):
    ended = subprocess.run(
        ["openssl", "pkey", "-in", file, "-passin", f"pass:{PASSPHRASE}", "-pubout"], capture_output=True, text=True
    )
    return ended.stdout


def on_terminal(command, word):
    """Runs a command as a person does, who types `word` wherever a passphrase is asked for."""
    process, terminal = pty.fork()
    if process == 0:
        os.execvp("sh", ["sh", "-c", command])
    said, answered, end = b"", 0, time.monotonic() + 60
    while time.monotonic() < end:
        ready, _, _ = select.select([terminal], [], [], 1)
        if ready:
            try:
                some = os.read(terminal, 4096)
            except OSError:
                break
            if not some:
                break
            said += some
        prompts = re.findall(rb"(?:pass ?phrase|password)[^\r\n]*[:?] *$", said[answered:], re.IGNORECASE)
        if prompts:
            answered = len(said)
            os.write(terminal, word.encode() + b"\n")
    else:
        os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    os.close(terminal)
    return said.decode(errors="replace")
