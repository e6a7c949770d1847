"""The table in docs/keys.md."""

import re

BEGIN = "<!-- The table is written by tests/identity/foreign_keys --write. -->\n"
# Long hints that come often; docs/keys.md has them above the table.
MARKS = {
    "¹": "no command makes such a key of it. If your key is elsewhere, put it here; if there was none, this keeps the file "
    "and puts a new key here: openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072 -out NEW && mv FILE OLD && "
    "mv NEW FILE",
    "²": "put a backup of FILE in its place: it is the only way to the same identity. Only if there is none, move the file "
    "away: a new key is then made, with which you are unknown to all others",
}
END = "<!-- End of the table. -->\n"


def markdown(page, outcomes):
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return before + BEGIN + "\n" + table(outcomes) + "\n" + END + after


def table(outcomes):
    lines = ["| tool | file | | what the client says, and the command that was run |", "|---|---|---|---|"]
    for outcome in outcomes:
        state = "works" if outcome.is_taken else "after the command" if outcome.is_rewritten else "refused"
        lines.append(f"| {outcome.row.group} | {escaped(outcome.row.name)} | {state} | {said(outcome)} |")
    return "\n".join(lines) + "\n"


def said(outcome):
    if outcome.is_taken:
        return ""
    error, _, hint = outcome.words.partition("\nhint: ")
    reason = re.sub(r"^error: cannot use \S+(?: as the public half)?: ", "", error)
    hint = re.sub(
        r"'client_Ira_(?:private|public)_key\.pem(?:\.(old|new))?'", lambda name: (name[1] or "file").upper(), hint
    )
    command = re.search(r"(?:ssh-keygen|openssl|puttygen|keytool|\(umask) .*?(?=; otherwise|$)", hint)
    if command and outcome.row.expected != "refused":
        return f"{escaped(reason)}: `{escaped(command[0])}`"
    for mark, words in MARKS.items():
        if hint.endswith(words):
            hint = hint.removesuffix(words) + mark
    return f"{escaped(reason)}; hint: {escaped(hint)}"


def escaped(text):
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
