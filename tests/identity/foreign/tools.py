"""Tools that make keys, where they are, and the RSA key of which most rows are another form."""

import atexit
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

FOLDER = Path(tempfile.mkdtemp(prefix="foreign-keys-"))
atexit.register(shutil.rmtree, FOLDER, ignore_errors=True)
LEGACY = ["-provider", "legacy", "-provider", "default"]
MISSING = set()


def missing():
    return sorted(MISSING)


def run(*line, **more):
    return subprocess.run([str(word) for word in line], capture_output=True, check=True, cwd=FOLDER, **more).stdout


@functools.cache
def base():
    """The RSA key of which most rows are another form."""
    file = FOLDER / "base.pem"
    run("openssl", "genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", file)
    return file


def made(*line, out="out"):
    """The bytes that a command writes to OUT."""
    target = FOLDER / out
    target.unlink(missing_ok=True)
    run(*[target if word == "OUT" else word for word in line])
    return target.read_bytes()


def has(tool):
    if shutil.which(tool):
        return True
    MISSING.add(tool)
    return False
