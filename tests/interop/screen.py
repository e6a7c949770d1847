"""What a client shows, as JSON lines for programs or in words for people."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Callable

# Control, direction and other invisible characters, line ends and what has no meaning yet.
HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def as_json(line: dict) -> None:
    print(json.dumps(line), flush=True)


def in_words(line: dict) -> None:
    """What people write goes to stdout, all else to stderr."""
    for key, put in SPOKEN.items():
        if key in line:
            print(visible(put(line)), flush=True)
            return
    for key, put in TOLD.items():
        if key in line:
            for part in put(line).split("\n"):  # notices and Answers have lines (PROTOCOL.md 6.10-5)
                print(visible(part), file=sys.stderr, flush=True)
            return


def visible(text: str) -> str:
    """Nothing in a text from outside may reach the terminal as more than text (PROTOCOL.md 6.2-8)."""
    return "".join(f"<U+{ord(c):04X}>" if unicodedata.category(c) in HIDDEN else c for c in text)


def _spoken(opening: str, said: dict) -> str:
    late = " (their clock and the server's differ)" if "clocks_apart" in said else ""
    return f"{opening}{said['text']}{late}"


def _said(line: dict) -> str:
    said = line["said"]
    if said["kind"] == 1:
        return _spoken(f"* {said['from']} ", said)
    return _spoken(f"{said['from']}: ", said)


def _welcome(told: dict) -> str:
    members = f"In {told['room']}: {', '.join(told['members'])}"
    return f"{members}\n{told['notice']}" if told["notice"] else members


def _missing(line: dict) -> str:
    what = {"said": "message", "whispered": "private message", "shared": "private message"}
    plural, verb = ("", "is") if line["missing"] == 1 else ("s", "are")
    return f"{line['missing']} {what[line['of']]}{plural} from {line['from']} {verb} missing."


def _error(line: dict) -> str:
    parts = [str(line["error"]), line.get("text"), line.get("of")]
    return "Error: " + ", ".join(part for part in parts if part)


def _verify(line: dict) -> str:
    mark = "verified" if line["verified"] else "not verified"
    return f"{line['verify']} ({mark}): {' '.join(line['number'])}"


Put = Callable[[dict], str]

SPOKEN: dict[str, Put] = {
    "said": _said,
    "whispered": lambda line: _spoken(
        f"[whisper from {line['whispered']['from']}] ", line["whispered"]
    ),
    "letter": lambda line: _spoken(f"[letter from {line['letter']['from']}] ", line["letter"]),
    "whispered_to": lambda line: f"[whisper to {line['whispered_to']}] {line['text']}",
    "wrote_to": lambda line: f"[letter to {line['wrote_to']}] {line['text']}",
    "joined": lambda line: f"[+] {line['joined']} joined the room.",
    "left": lambda line: f"[-] {line['left']} left the room ({line['reason']}).",
}

TOLD: dict[str, Put] = {
    "welcome": lambda line: _welcome(line["welcome"]),
    "new": lambda line: f"{line['new']} is new: {line['fingerprint']}",
    "missing": _missing,
    "unreadable": lambda line: (
        f"A message from {line['unreadable']} cannot be opened: {line['why']}"
    ),
    "message_refused": lambda line: (
        f"A MESSAGE IN THE NAME OF {line['message_refused']} WAS REFUSED: {line['why']}"
    ),
    "letter_refused": lambda line: f"A LETTER WAS REFUSED: {line['letter_refused']}",
    "person_refused": lambda line: f"SOMEBODY WAS REFUSED: {line['why']}",
    "read_too_by": lambda line: (
        f"{', '.join(line['read_too_by'])} came in before this was sent, and will read it: "
        f"{line['text']}"
    ),
    "verify": _verify,
    "notice": lambda line: f"The server says: {line['notice']}",
    "answer": lambda line: f"[{line['of']}] {line['answer']}",
    "asked_for": lambda line: f"The server asks for a password: {line['text']}",
    "bye": lambda line: f"Bye: {line['bye']}",
    "server": lambda line: f"The server's fingerprint: {line['server']}",
    "self": lambda line: f"{line['self']}, this is your fingerprint: {line['fingerprint']}",
    "absent": lambda line: f"{line['absent']} has lost the connection.",
    "back": lambda line: f"{line['back']} is back.",
    "lost": lambda line: f"The connection is lost: {line['lost']}",
    "not_reached": lambda line: f"The server is not reached: {line['not_reached']}",
    "resumed": lambda line: f"Back in {line['resumed']}.",
    "anew": lambda line: f"A new session begins ({line['anew']}).",
    "in_doubt": lambda line: f"Delivery unknown: {line['in_doubt']}",
    "error": _error,
}
