"""Keys as libraries of Python write them."""

from trial import PASSPHRASE, Row


def rows(base, public, missing):
    try:
        from Crypto.PublicKey import ECC, RSA

        yield from pycryptodome(RSA, ECC, base, public)
    except ImportError:
        missing.add("pycryptodome")
    try:
        yield from cryptography(base, public)
    except ImportError:
        missing.add("cryptography")


def pycryptodome(rsa, ecc, base, public):
    key = rsa.import_key(base.read_bytes())

    def row(name, content, expected="taken", **more):
        return Row("PyCryptodome", name, content, expected, **{"public": public, **more})

    yield row("export_key() (PKCS#1)", key.export_key())
    yield row("export_key(pkcs=8)", key.export_key(pkcs=8))
    yield row("export_key('DER')", key.export_key("DER"), "rewritten")
    yield row("export_key(passphrase=…), default", key.export_key(passphrase=PASSPHRASE), has_passphrase=True)
    yield row(
        "export_key(passphrase=…, pkcs=1)",
        key.export_key(passphrase=PASSPHRASE, pkcs=1),
        "rewritten",
        has_passphrase=True,
    )
    yield row(
        "export_key(passphrase=…, pkcs=8), default", key.export_key(passphrase=PASSPHRASE, pkcs=8), has_passphrase=True
    )
    schemes = {
        "PBKDF2WithHMAC-SHA1AndDES-EDE3-CBC": "taken",
        "PBKDF2WithHMAC-SHA1AndAES128-CBC": "taken",
        "PBKDF2WithHMAC-SHA1AndAES192-CBC": "taken",
        "PBKDF2WithHMAC-SHA1AndAES256-CBC": "taken",
        "PBKDF2WithHMAC-SHA224AndAES256-CBC": "taken",
        "PBKDF2WithHMAC-SHA384AndAES256-CBC": "taken",
        "PBKDF2WithHMAC-SHA512AndAES256-CBC": "taken",
        "PBKDF2WithHMAC-SHA512-256AndAES256-CBC": "rewritten",
        "PBKDF2WithHMAC-SHA256AndAES128-GCM": "taken",
        "PBKDF2WithHMAC-SHA512AndAES256-GCM": "taken",
        "scryptAndAES128-CBC": "taken",
        "scryptAndAES256-CBC": "taken",
        "scryptAndAES256-GCM": "taken",
    }
    for scheme, expected in schemes.items():
        content = key.export_key(passphrase=PASSPHRASE, pkcs=8, protection=scheme)
        yield row(f"protection={scheme}", content, expected, has_passphrase=True)
    yield row("RSA.generate(1024)", rsa.generate(1024).export_key(), "refused", public=None)
    yield row("RSA.generate(2048, e=17)", rsa.generate(2048, e=17).export_key(pkcs=8), "refused", public=None)
    yield row("ECC, P-256", ecc.generate(curve="P-256").export_key(format="PEM").encode(), "refused", public=None)
    swapped = rsa.construct((key.n, key.e, key.d, key.q, key.p))
    yield row("primes the other way round", swapped.export_key(pkcs=8))
    # RFC 8017 has d modulo the least common multiple, older tools modulo the product.
    product = (key.p - 1) * (key.q - 1)
    other = rsa.construct((key.n, key.e, pow(key.e, -1, product), key.p, key.q), consistency_check=False)
    yield row("private exponent modulo (p-1)(q-1)", other.export_key(pkcs=8))


def cryptography(base, public):
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives import serialization as s

    key = s.load_pem_private_key(base.read_bytes(), None)
    word = PASSPHRASE.encode()

    def row(name, form, protection, expected="taken", encoding=s.Encoding.PEM):
        has_passphrase = not isinstance(protection, s.NoEncryption)
        return Row(
            "cryptography",
            name,
            key.private_bytes(encoding, form, protection),
            expected,
            public=public,
            has_passphrase=has_passphrase,
        )

    pkcs8, none, best = s.PrivateFormat.PKCS8, s.NoEncryption(), s.BestAvailableEncryption(word)
    yield row("PKCS8", pkcs8, none)
    yield row("PKCS8, BestAvailableEncryption", pkcs8, best)
    yield row("TraditionalOpenSSL", s.PrivateFormat.TraditionalOpenSSL, none)
    yield row("TraditionalOpenSSL, encrypted", s.PrivateFormat.TraditionalOpenSSL, best, "rewritten")
    yield row("OpenSSH", s.PrivateFormat.OpenSSH, none, "rewritten")
    yield row("OpenSSH, encrypted", s.PrivateFormat.OpenSSH, best, "rewritten")
    yield row("PKCS8, DER", pkcs8, none, "rewritten", s.Encoding.DER)
    yield row("PKCS8, DER, encrypted", pkcs8, best, "rewritten", s.Encoding.DER)
    from cryptography.hazmat.primitives.serialization import pkcs12

    for name in ("PBESv1SHA1And3KeyTripleDESCBC", "PBESv2SHA256AndAES256CBC"):
        protection = (
            s.PrivateFormat.PKCS12.encryption_builder()
            .key_cert_algorithm(getattr(pkcs12.PBES, name))
            .hmac_hash(hashes.SHA256())
            .build(word)
        )
        content = pkcs12.serialize_key_and_certificates(b"Ira", key, None, None, protection)
        yield Row("cryptography", f"PKCS #12, {name}", content, "rewritten", public=public, has_passphrase=True)
