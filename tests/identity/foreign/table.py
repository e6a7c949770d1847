"""The table in docs/keys.md."""

import re

BEGIN = "<!-- The table is written by tests/identity/foreign_keys --write. -->\n"
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
    hint = re.sub(r"'client_Ira_(?:private|public)_key\.pem(?:\.(old|new))?'", lambda name: (name[1] or "file").upper(), hint)
    command = re.search(r"(?:ssh-keygen|openssl|puttygen|keytool|\(umask) .*?(?=; otherwise|$)", hint)
    if command and outcome.row.expected != "refused":
        return f"{escaped(reason)}: `{escaped(command[0])}`"
    return f"{escaped(reason)}. {escaped(hint)}"


def escaped(text):
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
