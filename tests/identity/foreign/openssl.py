"""Keys that OpenSSL writes: in every form, encrypted in every way, and those that are none for this program."""

from tools import FOLDER, LEGACY, base, made, run
from trial import PASSPHRASE, Row


def openssl_rows(public):
    def row(name, content, expected="taken", key=public, **more):
        return Row("OpenSSL", name, content, expected, public=key, **more)

    b = base()
    yield row("genpkey, PKCS#8, 2048 bits", b.read_bytes())
    for bits in (3072, 4096):
        yield row(
            f"genpkey, {bits} bits",
            made(
                "openssl",
                "genpkey",
                "-quiet",
                "-algorithm",
                "RSA",
                "-pkeyopt",
                f"rsa_keygen_bits:{bits}",
                "-out",
                "OUT",
            ),
            key=None,
        )
    traditional = made("openssl", "rsa", "-in", b, "-traditional", "-out", "OUT")
    yield row("rsa -traditional (PKCS#1)", traditional)
    yield row("rsa -text, then the key", run("openssl", "rsa", "-in", b, "-text"))
    yield row(
        "PKCS#8 in DER",
        made("openssl", "pkcs8", "-topk8", "-nocrypt", "-in", b, "-outform", "DER", "-out", "OUT"),
        "rewritten",
    )
    yield row(
        "PKCS#1 in DER", made("openssl", "rsa", "-in", b, "-traditional", "-outform", "DER", "-out", "OUT"), "rewritten"
    )
    yield row(
        "encrypted PKCS#8 in DER",
        made(
            "openssl", "pkcs8", "-topk8", "-passout", f"pass:{PASSPHRASE}", "-in", b, "-outform", "DER", "-out", "OUT"
        ),
        "rewritten",
        has_passphrase=True,
    )
    old = made(
        "openssl",
        "pkcs8",
        "-topk8",
        *LEGACY,
        "-v1",
        "PBE-MD5-DES",
        "-passout",
        f"pass:{PASSPHRASE}",
        "-in",
        b,
        "-outform",
        "DER",
        "-out",
        "OUT",
    )
    yield row("PBES1 in DER", old, "rewritten", has_passphrase=True)
    yield row(
        "rsa -outform PVK", made("openssl", "rsa", "-in", b, "-outform", "PVK", "-pvk-none", "-out", "OUT"), "rewritten"
    )
    encrypted = made(
        "openssl",
        "rsa",
        *LEGACY,
        "-in",
        b,
        "-outform",
        "PVK",
        "-pvk-strong",
        "-passout",
        f"pass:{PASSPHRASE}",
        "-out",
        "OUT",
    )
    yield row("rsa -outform PVK -pvk-strong, encrypted", encrypted, "rewritten", has_passphrase=True)
    yield row("rsa -outform MSBLOB", made("openssl", "rsa", "-in", b, "-outform", "MSBLOB", "-out", "OUT"), "rewritten")
    certificate = made("openssl", "req", "-new", "-x509", "-key", b, "-subj", "/CN=Ira", "-out", "OUT", out="cert.pem")
    yield row("key, then certificate", b.read_bytes() + certificate)
    yield row("certificate, then key", certificate + b.read_bytes())
    yield row("public key, then key", public.encode() + b.read_bytes())
    request = made(
        "openssl",
        "req",
        "-new",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=Ira",
        "-keyout",
        "OUT",
        "-out",
        FOLDER / "csr.pem",
    )
    yield row("req -newkey -nodes", request, key=None)
    request = made(
        "openssl",
        "req",
        "-new",
        "-newkey",
        "rsa:2048",
        "-passout",
        f"pass:{PASSPHRASE}",
        "-subj",
        "/CN=Ira",
        "-keyout",
        "OUT",
        "-out",
        FOLDER / "csr.pem",
    )
    yield row("req -newkey, encrypted", request, key=None, has_passphrase=True)
    store = [
        "openssl",
        "pkcs12",
        "-export",
        "-inkey",
        b,
        "-in",
        FOLDER / "cert.pem",
        "-name",
        "Ira",
        "-passout",
        f"pass:{PASSPHRASE}",
        "-out",
        "OUT",
    ]
    yield row("pkcs12 -export", made(*store, out="store.p12"), "rewritten", has_passphrase=True)
    yield row(
        "pkcs12 -export -legacy, as Windows does",
        made(*store[:3], "-legacy", *store[3:], out="old.p12"),
        "rewritten",
        has_passphrase=True,
    )
    yield row(
        "pkcs12 -nodes: Bag Attributes and certificate",
        run("openssl", "pkcs12", "-in", "store.p12", "-nodes", "-passin", f"pass:{PASSPHRASE}"),
    )
    yield row(
        "pkcs12 -nocerts, encrypted",
        run(
            "openssl",
            "pkcs12",
            "-in",
            "store.p12",
            "-nocerts",
            "-passin",
            f"pass:{PASSPHRASE}",
            "-passout",
            f"pass:{PASSPHRASE}",
        ),
        has_passphrase=True,
    )


def protected_rows(public):
    """Encrypted by OpenSSL, in each way it has."""

    def row(name, options, expected="taken"):
        line = [
            "openssl",
            "pkcs8",
            "-topk8",
            *LEGACY,
            "-passout",
            f"pass:{PASSPHRASE}",
            "-in",
            base(),
            *options,
            "-out",
            "OUT",
        ]
        return Row(
            "OpenSSL, encrypted",
            f"pkcs8 {' '.join(options)}",
            made(*line),
            expected,
            public=public,
            has_passphrase=True,
        )

    for cipher in ("aes-128-cbc", "aes-192-cbc", "aes-256-cbc", "des3"):
        yield row(cipher, ["-v2", cipher])
    for prf in ("SHA1", "SHA224", "SHA384", "SHA512"):
        yield row(prf, ["-v2", "aes-256-cbc", "-v2prf", f"hmacWith{prf}"])
    yield row("old default", ["-v2", "des3", "-v2prf", "hmacWithSHA1"])
    yield row("scrypt", ["-scrypt"])
    yield row("one round", ["-v2", "aes-256-cbc", "-iter", "1"])
    yield row("many rounds", ["-v2", "aes-256-cbc", "-iter", "1000000"])
    for prf in ("SHA512-224", "SHA512-256"):
        yield row(prf, ["-v2", "aes-256-cbc", "-v2prf", f"hmacWith{prf}"], "rewritten")
    for cipher in (
        "aes-256-cfb",
        "camellia-256-cbc",
        "aria-256-cbc",
        "des",
        "rc2-cbc",
        "cast5-cbc",
        "bf-cbc",
        "seed-cbc",
    ):
        yield row(cipher, ["-v2", cipher], "rewritten")
    for scheme in (
        "PBE-MD5-DES",
        "PBE-SHA1-DES",
        "PBE-SHA1-3DES",
        "PBE-SHA1-2DES",
        "PBE-SHA1-RC4-128",
        "PBE-SHA1-RC2-40",
        "PBE-SHA1-RC2-128",
    ):
        yield row(scheme, ["-v1", scheme], "rewritten")
    for cipher in ("aes128", "aes256", "des3", "des", "camellia128"):
        line = [
            "openssl",
            "rsa",
            "-traditional",
            f"-{cipher}",
            *LEGACY,
            "-passout",
            f"pass:{PASSPHRASE}",
            "-in",
            base(),
            "-out",
            "OUT",
        ]
        yield Row(
            "OpenSSL, encrypted",
            f"rsa -traditional -{cipher} (Proc-Type: 4,ENCRYPTED)",
            made(*line),
            "rewritten",
            public=public,
            has_passphrase=True,
        )


def openssl_other_rows(public):
    """Keys that are none for this program, and public keys."""
    b = base()

    def key(name, *options, expected="refused"):
        return Row("OpenSSL, other keys", name, made("openssl", "genpkey", "-quiet", *options, "-out", "OUT"), expected)

    rsa = ("-algorithm", "RSA", "-pkeyopt")
    yield key("1024 bits", *rsa, "rsa_keygen_bits:1024")
    yield key("2056 bits", *rsa, "rsa_keygen_bits:2056")
    yield key("exponent 3", *rsa, "rsa_keygen_bits:2048", "-pkeyopt", "rsa_keygen_pubexp:3")
    yield key("three primes", *rsa, "rsa_keygen_bits:2048", "-pkeyopt", "rsa_keygen_primes:3")
    pss = ("-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048")
    yield key("RSA-PSS", "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048", expected="rewritten")
    line = ["openssl", "pkcs8", "-topk8", "-passout", f"pass:{PASSPHRASE}", "-in", FOLDER / "pss.pem", "-out", "OUT"]
    made("openssl", "genpkey", "-quiet", *pss, "-out", "OUT", out="pss.pem")
    yield Row("OpenSSL, other keys", "RSA-PSS, encrypted", made(*line), "rewritten", has_passphrase=True)
    yield key("EC P-256", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    for algorithm in ("ED25519", "ED448", "X25519"):
        yield key(algorithm, "-algorithm", algorithm)
    parameters = FOLDER / "dsa"
    made("openssl", "dsaparam", "-out", "OUT", "2048", out="dsa")
    yield key("DSA", "-paramfile", parameters)
    traditional = made("openssl", "ecparam", "-genkey", "-name", "prime256v1", "-out", "OUT")
    yield Row("OpenSSL, other keys", "ecparam -genkey (EC PRIVATE KEY)", traditional, "refused")

    private = [
        ("public key", public.encode()),
        ("PKCS#1 public key", run("openssl", "rsa", "-in", b, "-RSAPublicKey_out")),
        ("certificate", (FOLDER / "cert.pem").read_bytes()),
        ("certificate request", (FOLDER / "csr.pem").read_bytes()),
    ]
    for name, content in private:
        yield Row("in the private key's place", name, content, "refused")
    der = made("openssl", "pkey", "-in", b, "-pubout", "-outform", "DER", "-out", "OUT")
    yield Row("in the private key's place", "public key in DER", der, "refused")

    for name, content in [
        ("pkey -pubout", private[0][1]),
        ("rsa -RSAPublicKey_out (PKCS#1)", private[1][1]),
        ("pubout with CRLF and a text before it", b"my key\r\n\r\n" + public.replace("\n", "\r\n").encode()),
    ]:
        yield Row("in the public key's place", name, content, "taken", public=public, is_public=True)
    for name, content in [
        ("certificate", private[2][1]),
        ("DER", der),
        ("a private key", b.read_bytes()),
        ("an empty file", b""),
    ]:
        yield Row("in the public key's place", name, content, "rewritten", public=public, is_public=True)
