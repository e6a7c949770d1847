"""Keys that other programs write."""

from pathlib import Path

from tools import FOLDER, base, has, made, run
from trial import PASSPHRASE, Row


def ssh_rows(public):
    if not has("ssh-keygen"):
        return
    target = FOLDER / "ssh"

    def generate(*options, word=""):
        target.unlink(missing_ok=True)
        run("ssh-keygen", "-q", "-f", target, "-N", word, *options)
        return target.read_bytes()

    def row(name, content, expected, word="", key=None):
        return Row("OpenSSH", name, content, expected, public=key, has_passphrase=bool(word))

    rsa = ("-t", "rsa", "-b", "3072")
    for word, kind in (("", ""), (PASSPHRASE, ", encrypted")):
        yield row(f"ssh-keygen -t rsa{kind}", generate(*rsa, word=word), "rewritten", word)
        yield row(f"ssh-keygen -m PKCS8{kind}", generate(*rsa, "-m", "PKCS8", word=word), "taken", word)
        yield row(
            f"ssh-keygen -m PEM{kind}", generate(*rsa, "-m", "PEM", word=word), "rewritten" if word else "taken", word
        )
        # A key that was taken, and then given another passphrase without -m PKCS8.
        target.write_bytes(base().read_bytes())
        target.chmod(0o600)
        run("ssh-keygen", "-q", "-p", "-N", word, "-f", target)
        yield row(f"ssh-keygen -p without -m PKCS8{kind}", target.read_bytes(), "rewritten", word, public)
    yield row("ssh-keygen -t rsa -b 1024", generate("-t", "rsa", "-b", "1024"), "refused")
    yield row("ssh-keygen -t ed25519", generate("-t", "ed25519"), "refused")
    yield row("ssh-keygen -t ecdsa", generate("-t", "ecdsa"), "refused")
    generate(*rsa)
    yield Row("in the private key's place", "id_rsa.pub of OpenSSH", Path(f"{target}.pub").read_bytes(), "refused")
    yield Row(
        "in the private key's place", "ssh-keygen -e (RFC 4716)", run("ssh-keygen", "-e", "-f", target), "refused"
    )
    run("ssh-keygen", "-y", "-f", base())
    line = run("ssh-keygen", "-y", "-f", base())
    (FOLDER / "base.pub").write_bytes(line)
    for form in ("PKCS8", "PEM"):
        content = run("ssh-keygen", "-e", "-m", form, "-f", FOLDER / "base.pub")
        yield Row(
            "in the public key's place", f"ssh-keygen -e -m {form}", content, "taken", public=public, is_public=True
        )
    yield Row("in the public key's place", "id_rsa.pub of OpenSSH", line, "rewritten", public=public, is_public=True)


def putty_rows(public):
    if not has("puttygen"):
        return
    word = FOLDER / "word"
    word.write_text(PASSPHRASE + "\n")
    # It reads no PKCS#8.
    base_key = FOLDER / "traditional.pem"
    made("openssl", "rsa", "-in", base(), "-traditional", "-out", "OUT", out="traditional.pem")

    def row(name, content, expected, **more):
        return Row("PuTTY", name, content, expected, **more)

    for version in ("3", "2"):
        content = made("puttygen", base_key, "-O", "private", "--ppk-param", f"version={version}", "-o", "OUT")
        yield row(f"puttygen, ppk version {version}", content, "rewritten", public=public)
    content = made("puttygen", base_key, "-O", "private", "--new-passphrase", word, "-o", "OUT")
    yield row("puttygen, ppk, encrypted", content, "rewritten", public=public, has_passphrase=True)
    # It reads its own form best.
    made("puttygen", base_key, "-O", "private", "-o", "OUT", out="base.ppk")
    base_key = FOLDER / "base.ppk"
    yield row(
        "puttygen -O private-openssh",
        made("puttygen", base_key, "-O", "private-openssh", "-o", "OUT"),
        "taken",
        public=public,
    )
    content = made("puttygen", base_key, "-O", "private-openssh-new", "-o", "OUT")
    yield row("puttygen -O private-openssh-new", content, "rewritten", public=public)
    yield row(
        "puttygen -O private-sshcom",
        made("puttygen", base_key, "-O", "private-sshcom", "-o", "OUT"),
        "rewritten",
        public=public,
    )
    run("puttygen", "-t", "ed25519", "-q", "-O", "private", "--new-passphrase", "/dev/null", "-o", "ed.ppk")
    yield row("puttygen -t ed25519", (FOLDER / "ed.ppk").read_bytes(), "refused")


def gnutls_rows(public):
    if not has("certtool"):
        return

    def row(name, content, expected="taken", key=public, **more):
        return Row("GnuTLS", name, content, expected, public=key, **more)

    yield row(
        "certtool --generate-privkey (text before the key)",
        made("certtool", "--generate-privkey", "--key-type", "rsa", "--bits", "2048", "--outfile", "OUT"),
        key=None,
    )
    yield row(
        "certtool --to-p8 --outder",
        run("certtool", "--to-p8", "--load-privkey", base(), "--outder", "--password", PASSPHRASE),
        "rewritten",
        has_passphrase=True,
    )
    yield row("certtool --key-info", run("certtool", "--key-info", "--infile", base()))
    ciphers = {
        "3des": "taken",
        "aes-128": "taken",
        "aes-192": "taken",
        "aes-256": "taken",
        "3des-pkcs12": "rewritten",
        "rc2-40": "rewritten",
        "arcfour": "rewritten",
    }
    for cipher, expected in ciphers.items():
        content = run(
            "certtool", "--to-p8", "--load-privkey", base(), "--pkcs-cipher", cipher, "--password", PASSPHRASE
        )
        yield row(f"certtool --to-p8 --pkcs-cipher {cipher}", content, expected, has_passphrase=True)
    for kind, expected in (("rsa-pss", "rewritten"), ("ed25519", "refused"), ("ecdsa", "refused")):
        content = made(
            "certtool",
            "--generate-privkey",
            "--key-type",
            kind,
            "--outfile",
            "OUT",
            *(["--bits", "2048"] if kind == "rsa-pss" else []),
        )
        yield row(f"certtool --key-type {kind}", content, expected, key=None)


def botan_rows(public):
    if not has("botan"):
        return

    def row(name, *options, expected="taken", **more):
        return Row("Botan", name, run("botan", *options), expected, **more)

    yield row("keygen --algo=RSA", "keygen", "--algo=RSA", "--params=2048")
    options = ("--algo=RSA", "--params=2048", f"--passphrase={PASSPHRASE}")
    yield row("keygen, encrypted", "keygen", *options, has_passphrase=True)
    for scheme in (
        "AES-256/CBC,SHA-160",
        "AES-128/CBC,SHA-384",
        "AES-192/CBC,SHA-512",
        "AES-256/GCM,SHA-256",
        "AES-256/CBC,Scrypt",
    ):
        options = ("--algo=RSA", "--params=2048", f"--passphrase={PASSPHRASE}", f"--pbe=PBES2({scheme})")
        yield row(f"keygen --pbe=PBES2({scheme})", "keygen", *options, has_passphrase=True)
    options = ("--algo=RSA", "--params=2048", f"--passphrase={PASSPHRASE}", "--pbe=PBES2(Camellia-256/CBC,SHA-256)")
    yield row(
        "keygen --pbe=PBES2(Camellia-256/CBC,SHA-256)", "keygen", *options, expected="rewritten", has_passphrase=True
    )
    options = ("--algo=RSA", "--params=2048", f"--passphrase={PASSPHRASE}", "--pbe=PBES2(Serpent/CBC,SHA-256)")
    yield row("keygen --pbe=PBES2(Serpent/CBC,SHA-256)", "keygen", *options, expected="refused", has_passphrase=True)
    yield row("keygen --der-out", "keygen", "--algo=RSA", "--params=2048", "--der-out", expected="rewritten")
    yield row("pkcs8 of another key", "pkcs8", base(), public=public)
    yield row("keygen --algo=Ed25519", "keygen", "--algo=Ed25519", expected="refused")


JAVA = """
import java.security.*; import java.util.*; import javax.crypto.*; import javax.crypto.spec.*;
class Keys { public static void main(String[] words) throws Exception {
  KeyPairGenerator maker = KeyPairGenerator.getInstance("RSA"); maker.initialize(2048);
  byte[] der = maker.generateKeyPair().getPrivate().getEncoded(); String label = "PRIVATE KEY";
  if (!words[0].equals("plain")) {
    SecretKey key = SecretKeyFactory.getInstance(words[0]).generateSecret(new PBEKeySpec(words[1].toCharArray()));
    Cipher cipher = Cipher.getInstance(words[0]);
    cipher.init(Cipher.ENCRYPT_MODE, key);
    AlgorithmParameters used = cipher.getParameters();
    if (words[0].contains("Hmac")) { // EncryptedPrivateKeyInfo does not know these by their own names.
      AlgorithmParameters named = AlgorithmParameters.getInstance("PBES2");
      named.init(used.getEncoded()); used = named; }
    der = new EncryptedPrivateKeyInfo(used, cipher.doFinal(der)).getEncoded();
    label = "ENCRYPTED PRIVATE KEY"; }
  String body = words[2].equals("mime") ? Base64.getMimeEncoder().encodeToString(der) : Base64.getEncoder().encodeToString(der);
  System.out.print("-----BEGIN " + label + "-----\\n" + body + "\\n-----END " + label + "-----\\n"); } }
"""


def java_rows(public):
    if has("java") and has("javac"):
        (FOLDER / "Keys.java").write_text(JAVA)
        run("javac", "Keys.java")

        def row(name, scheme, form, expected="taken", **more):
            return Row("Java", name, run("java", "-cp", FOLDER, "Keys", scheme, PASSPHRASE, form), expected, **more)

        yield row("PKCS#8, Base64.getMimeEncoder (lines of 76, CRLF)", "plain", "mime")
        yield row("PKCS#8, Base64.getEncoder (one line)", "plain", "one")
        for scheme in (
            "PBEWithHmacSHA1AndAES_128",
            "PBEWithHmacSHA1AndAES_256",
            "PBEWithHmacSHA256AndAES_256",
            "PBEWithHmacSHA512AndAES_256",
        ):
            yield row(scheme, scheme, "mime", has_passphrase=True)
        for scheme in ("PBEWithSHA1AndDESede", "PBEWithMD5AndDES", "PBEWithSHA1AndRC2_40"):
            yield row(scheme, scheme, "mime", "rewritten", has_passphrase=True)
    if has("keytool"):
        for kind in ("PKCS12", "JKS", "JCEKS"):
            store = FOLDER / f"store.{kind}"
            run(
                "keytool",
                "-genkeypair",
                "-keyalg",
                "RSA",
                "-keysize",
                "2048",
                "-alias",
                "ira",
                "-dname",
                "CN=Ira",
                "-storetype",
                kind,
                "-keystore",
                store,
                "-storepass",
                PASSPHRASE,
                "-keypass",
                PASSPHRASE,
            )
            yield Row("Java", f"keytool, {kind}", store.read_bytes(), "rewritten", has_passphrase=True)


def node_rows(public):
    if not has("node"):
        return

    def row(name, options, expected="taken", **more):
        script = f"const k = crypto.createPrivateKey(fs.readFileSync('{base()}')); process.stdout.write({options})"
        return Row("Node.js", name, run("node", "-e", script), expected, public=public, **more)

    yield row("export pkcs8", "k.export({type: 'pkcs8', format: 'pem'})")
    yield row("export pkcs1", "k.export({type: 'pkcs1', format: 'pem'})")
    yield row("export jwk", "JSON.stringify(k.export({format: 'jwk'}))", "rewritten")
    yield row("export pkcs8 as DER", "k.export({type: 'pkcs8', format: 'der'})", "rewritten")
    for cipher, expected in (
        ("aes-256-cbc", "taken"),
        ("aes-128-cbc", "taken"),
        ("des-ede3-cbc", "taken"),
        ("camellia-256-cbc", "rewritten"),
    ):
        yield row(
            f"export pkcs8, {cipher}",
            f"k.export({{type: 'pkcs8', format: 'pem', cipher: '{cipher}', passphrase: '{PASSPHRASE}'}})",
            expected,
            has_passphrase=True,
        )
    yield row(
        "export pkcs1, aes-256-cbc",
        f"k.export({{type: 'pkcs1', format: 'pem', cipher: 'aes-256-cbc', passphrase: '{PASSPHRASE}'}})",
        "rewritten",
        has_passphrase=True,
    )
