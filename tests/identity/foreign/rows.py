"""All rows of the table."""

import edited
import libraries
from openssl import openssl_other_rows, openssl_rows, protected_rows
from programs import botan_rows, gnutls_rows, java_rows, node_rows, putty_rows, ssh_rows
from tools import MISSING, base
from trial import openssl_public


def all_rows():
    public = openssl_public(base())
    for make in (
        openssl_rows,
        protected_rows,
        openssl_other_rows,
        ssh_rows,
        putty_rows,
        gnutls_rows,
        botan_rows,
        java_rows,
        node_rows,
    ):
        yield from make(public)
    yield from libraries.rows(base(), public, MISSING)
    yield from edited.rows(base(), public)
