"""A good key as editors, shells, mail and disks leave it."""

import base64
import gzip

from trial import Row


def rows(base, public):
    pem = base.read_bytes()
    text = pem.decode()
    lines = text.splitlines()
    first, last, body = lines[0], lines[-1], "".join(lines[1:-1])

    def row(name, content, expected="taken", **more):
        content = content.encode() if isinstance(content, str) else content
        return Row("edited", name, content, expected, **{"public": public, **more})

    def wrapped(width):
        return "\n".join([first, *(body[at : at + width] for at in range(0, len(body), width)), last, ""])

    yield row("a blank line at the end", text + "\n")
    yield row("blank lines at the start, in the middle and at the end", "\n\n" + text.replace("\n", "\n\n") + "\n\n")
    yield row("no line end at the end", text.rstrip("\n"))
    for width in (1, 48, 60, 65, 70, 72, 76, 100, 1024):
        yield row(f"base64 in lines of {width}", wrapped(width))
    yield row("base64 in one line", wrapped(len(body)))
    yield row("all in one line, by spaces", text.replace("\n", " "))
    yield row("all in one line, nothing between", text.replace("\n", ""))
    yield row("line ends as \\n, as in a variable", text.replace("\n", "\\n"))
    yield row("CRLF", text.replace("\n", "\r\n"))
    yield row("CR alone", text.replace("\n", "\r"))
    yield row("spaces at the ends of lines", text.replace("\n", " \t\n"))
    yield row("indented, as in YAML", "".join(f"    {line}\n" for line in lines))
    yield row("a byte order mark", "\ufeff" + text)
    yield row("UTF-16, as PowerShell writes it", ("\ufeff" + text).encode("utf-16-le"))
    yield row("UTF-16, big endian", ("\ufeff" + text).encode("utf-16-be"))
    yield row("UTF-16 without a mark", text.encode("utf-16-le"))
    yield row(
        "text before and behind",
        f"Bag Attributes\n    friendlyName: Ira\nKey Attributes: <No Attributes>\n{text}\nkeep this safe\n",
    )
    yield row("a name in Latin-1 before it", b"friendlyName: Andr\xe9\n" + pem)
    yield row("a comment in the block", text.replace("\n", "\nComment: mine\n\n", 1))
    yield row("twice the same", text + text)
    yield row("in base64 once more", base64.encodebytes(pem), "rewritten")
    yield row("in base64 once more, one line", base64.b64encode(pem), "rewritten")
    yield row("compressed by gzip", gzip.compress(pem), "rewritten")
    yield row("without first and last line", "\n".join(lines[1:-1]) + "\n", "rewritten")

    damaged = {
        "empty": b"",
        "blank lines alone": b"\n\n\n",
        "zero bytes": bytes(1700),
        "cut in the middle": pem[:900],
        "cut before the last line": ("\n".join(lines[:-1]) + "\n").encode(),
        "without its first line": ("\n".join(lines[1:]) + "\n").encode(),
        "a dash lost at the start": pem[1:],
        "a line lost": "\n".join(lines[:5] + lines[6:]).encode(),
        "a line twice": "\n".join(lines[:6] + lines[5:]).encode(),
        "a character changed to ?": pem[:400] + b"?" + pem[401:],
        "a character of base64 changed": pem[:400] + (b"A" if pem[400:401] != b"A" else b"B") + pem[401:],
        "the last line of another kind": text.replace("END PRIVATE", "END PUBLIC").encode(),
        "a dash lost at the end": text.rstrip("\n")[:-1].encode(),
        "a certificate revocation list": b"-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n",
        "a sentence": b"my key is on the other stick\n",
        "random bytes": bytes(range(128, 256)) * 8,
        "DER, cut": base64.b64decode(body)[:700],
    }
    for name, content in damaged.items():
        yield Row("damaged", name, content, "refused", is_damaged=True)
