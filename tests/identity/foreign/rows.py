"""The rows of the table: how each file is made, and what is expected of it."""

import base64
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

import edited
import libraries
from trial import PASSPHRASE, Row, openssl_public

FOLDER = Path(tempfile.mkdtemp(prefix="foreign-keys-"))
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


def all_rows():
    public = openssl_public(base())
    for make in (openssl_rows, protected_rows, openssl_other_rows, ssh_rows, putty_rows, gnutls_rows, botan_rows, java_rows, node_rows):
        yield from make(public)
    yield from libraries.rows(base(), public, MISSING)
    yield from edited.rows(base(), public)


def openssl_rows(public):
    def row(name, content, expected="taken", key=public, **more):
        return Row("OpenSSL", name, content, expected, public=key, **more)

    b = base()
    yield row("genpkey, PKCS#8, 2048 bits", b.read_bytes())
    for bits in (3072, 4096):
        yield row(f"genpkey, {bits} bits", made("openssl", "genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", f"rsa_keygen_bits:{bits}", "-out", "OUT"), key=None)
    traditional = made("openssl", "rsa", "-in", b, "-traditional", "-out", "OUT")
    yield row("rsa -traditional (PKCS#1)", traditional)
    yield row("rsa -text, then the key", run("openssl", "rsa", "-in", b, "-text"))
    yield row("PKCS#8 in DER", made("openssl", "pkcs8", "-topk8", "-nocrypt", "-in", b, "-outform", "DER", "-out", "OUT"), "rewritten")
    yield row("PKCS#1 in DER", made("openssl", "rsa", "-in", b, "-traditional", "-outform", "DER", "-out", "OUT"), "rewritten")
    yield row("encrypted PKCS#8 in DER", made("openssl", "pkcs8", "-topk8", "-passout", f"pass:{PASSPHRASE}", "-in", b, "-outform", "DER", "-out", "OUT"), "rewritten", has_passphrase=True)
    old = made("openssl", "pkcs8", "-topk8", *LEGACY, "-v1", "PBE-MD5-DES", "-passout", f"pass:{PASSPHRASE}", "-in", b, "-outform", "DER", "-out", "OUT")
    yield row("PBES1 in DER", old, "rewritten", has_passphrase=True)
    yield row("rsa -outform PVK", made("openssl", "rsa", "-in", b, "-outform", "PVK", "-pvk-none", "-out", "OUT"), "rewritten")
    encrypted = made("openssl", "rsa", *LEGACY, "-in", b, "-outform", "PVK", "-pvk-strong", "-passout", f"pass:{PASSPHRASE}", "-out", "OUT")
    yield row("rsa -outform PVK -pvk-strong, encrypted", encrypted, "rewritten", has_passphrase=True)
    yield row("rsa -outform MSBLOB", made("openssl", "rsa", "-in", b, "-outform", "MSBLOB", "-out", "OUT"), "rewritten")
    certificate = made("openssl", "req", "-new", "-x509", "-key", b, "-subj", "/CN=Ira", "-out", "OUT", out="cert.pem")
    yield row("key, then certificate", b.read_bytes() + certificate)
    yield row("certificate, then key", certificate + b.read_bytes())
    yield row("public key, then key", public.encode() + b.read_bytes())
    request = made("openssl", "req", "-new", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=Ira", "-keyout", "OUT", "-out", FOLDER / "csr.pem")
    yield row("req -newkey -nodes", request, key=None)
    request = made("openssl", "req", "-new", "-newkey", "rsa:2048", "-passout", f"pass:{PASSPHRASE}", "-subj", "/CN=Ira", "-keyout", "OUT", "-out", FOLDER / "csr.pem")
    yield row("req -newkey, encrypted", request, key=None, has_passphrase=True)
    store = ["openssl", "pkcs12", "-export", "-inkey", b, "-in", FOLDER / "cert.pem", "-name", "Ira", "-passout", f"pass:{PASSPHRASE}", "-out", "OUT"]
    yield row("pkcs12 -export", made(*store, out="store.p12"), "rewritten", has_passphrase=True)
    yield row("pkcs12 -export -legacy, as Windows does", made(*store[:3], "-legacy", *store[3:], out="old.p12"), "rewritten", has_passphrase=True)
    yield row("pkcs12 -nodes: Bag Attributes and certificate", run("openssl", "pkcs12", "-in", "store.p12", "-nodes", "-passin", f"pass:{PASSPHRASE}"))
    yield row("pkcs12 -nocerts, encrypted", run("openssl", "pkcs12", "-in", "store.p12", "-nocerts", "-passin", f"pass:{PASSPHRASE}", "-passout", f"pass:{PASSPHRASE}"), has_passphrase=True)


def protected_rows(public):
    """Encrypted by OpenSSL, in each way it has."""

    def row(name, options, expected="taken"):
        line = ["openssl", "pkcs8", "-topk8", *LEGACY, "-passout", f"pass:{PASSPHRASE}", "-in", base(), *options, "-out", "OUT"]
        return Row("OpenSSL, encrypted", f"pkcs8 {' '.join(options)}", made(*line), expected, public=public, has_passphrase=True)

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
    for cipher in ("aes-256-cfb", "camellia-256-cbc", "aria-256-cbc", "des", "rc2-cbc", "cast5-cbc", "bf-cbc", "seed-cbc"):
        yield row(cipher, ["-v2", cipher], "rewritten")
    for scheme in ("PBE-MD5-DES", "PBE-SHA1-DES", "PBE-SHA1-3DES", "PBE-SHA1-2DES", "PBE-SHA1-RC4-128", "PBE-SHA1-RC2-40", "PBE-SHA1-RC2-128"):
        yield row(scheme, ["-v1", scheme], "rewritten")
    for cipher in ("aes128", "aes256", "des3", "des", "camellia128"):
        line = ["openssl", "rsa", "-traditional", f"-{cipher}", *LEGACY, "-passout", f"pass:{PASSPHRASE}", "-in", base(), "-out", "OUT"]
        yield Row("OpenSSL, encrypted", f"rsa -traditional -{cipher} (Proc-Type: 4,ENCRYPTED)", made(*line), "rewritten", public=public, has_passphrase=True)


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
    yield key("RSA-PSS", "-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048", expected="rewritten")
    yield key("EC P-256", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256")
    for algorithm in ("ED25519", "ED448", "X25519"):
        yield key(algorithm, "-algorithm", algorithm)
    parameters = FOLDER / "dsa"
    made("openssl", "dsaparam", "-out", "OUT", "2048", out="dsa")
    yield key("DSA", "-paramfile", parameters)
    traditional = made("openssl", "ecparam", "-genkey", "-name", "prime256v1", "-out", "OUT")
    yield Row("OpenSSL, other keys", "ecparam -genkey (EC PRIVATE KEY)", traditional, "refused")

    private = [("public key", public.encode()), ("PKCS#1 public key", run("openssl", "rsa", "-in", b, "-RSAPublicKey_out")), ("certificate", (FOLDER / "cert.pem").read_bytes()), ("certificate request", (FOLDER / "csr.pem").read_bytes())]
    for name, content in private:
        yield Row("in the private key's place", name, content, "refused")
    der = made("openssl", "pkey", "-in", b, "-pubout", "-outform", "DER", "-out", "OUT")
    yield Row("in the private key's place", "public key in DER", der, "refused")

    for name, content in [("pkey -pubout", private[0][1]), ("rsa -RSAPublicKey_out (PKCS#1)", private[1][1]), ("pubout with CRLF and a text before it", b"my key\r\n\r\n" + public.replace("\n", "\r\n").encode())]:
        yield Row("in the public key's place", name, content, "taken", public=public, is_public=True)
    for name, content in [("certificate", private[2][1]), ("DER", der), ("a private key", b.read_bytes()), ("an empty file", b"")]:
        yield Row("in the public key's place", name, content, "rewritten", public=public, is_public=True)


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
        yield row(f"ssh-keygen -m PEM{kind}", generate(*rsa, "-m", "PEM", word=word), "rewritten" if word else "taken", word)
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
    yield Row("in the private key's place", "ssh-keygen -e (RFC 4716)", run("ssh-keygen", "-e", "-f", target), "refused")
    run("ssh-keygen", "-y", "-f", base())
    line = run("ssh-keygen", "-y", "-f", base())
    (FOLDER / "base.pub").write_bytes(line)
    for form in ("PKCS8", "PEM"):
        content = run("ssh-keygen", "-e", "-m", form, "-f", FOLDER / "base.pub")
        yield Row("in the public key's place", f"ssh-keygen -e -m {form}", content, "taken", public=public, is_public=True)
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
    yield row("puttygen -O private-openssh", made("puttygen", base_key, "-O", "private-openssh", "-o", "OUT"), "taken", public=public)
    content = made("puttygen", base_key, "-O", "private-openssh-new", "-o", "OUT")
    yield row("puttygen -O private-openssh-new", content, "rewritten", public=public)
    yield row("puttygen -O private-sshcom", made("puttygen", base_key, "-O", "private-sshcom", "-o", "OUT"), "rewritten", public=public)
    run("puttygen", "-t", "ed25519", "-q", "-O", "private", "--new-passphrase", "/dev/null", "-o", "ed.ppk")
    yield row("puttygen -t ed25519", (FOLDER / "ed.ppk").read_bytes(), "refused")


def gnutls_rows(public):
    if not has("certtool"):
        return

    def row(name, content, expected="taken", key=public, **more):
        return Row("GnuTLS", name, content, expected, public=key, **more)

    yield row("certtool --generate-privkey (text before the key)", made("certtool", "--generate-privkey", "--key-type", "rsa", "--bits", "2048", "--outfile", "OUT"), key=None)
    yield row("certtool --to-p8 --outder", run("certtool", "--to-p8", "--load-privkey", base(), "--outder", "--password", PASSPHRASE), "rewritten", has_passphrase=True)
    yield row("certtool --key-info", run("certtool", "--key-info", "--infile", base()))
    ciphers = {"3des": "taken", "aes-128": "taken", "aes-192": "taken", "aes-256": "taken", "3des-pkcs12": "rewritten", "rc2-40": "rewritten", "arcfour": "rewritten"}
    for cipher, expected in ciphers.items():
        content = run("certtool", "--to-p8", "--load-privkey", base(), "--pkcs-cipher", cipher, "--password", PASSPHRASE)
        yield row(f"certtool --to-p8 --pkcs-cipher {cipher}", content, expected, has_passphrase=True)
    for kind, expected in (("rsa-pss", "rewritten"), ("ed25519", "refused"), ("ecdsa", "refused")):
        content = made("certtool", "--generate-privkey", "--key-type", kind, "--outfile", "OUT", *(["--bits", "2048"] if kind == "rsa-pss" else []))
        yield row(f"certtool --key-type {kind}", content, expected, key=None)


def botan_rows(public):
    if not has("botan"):
        return

    def row(name, *options, expected="taken", **more):
        return Row("Botan", name, run("botan", *options), expected, **more)

    yield row("keygen --algo=RSA", "keygen", "--algo=RSA", "--params=2048")
    options = ("--algo=RSA", "--params=2048", f"--passphrase={PASSPHRASE}")
    yield row("keygen, encrypted", "keygen", *options, has_passphrase=True)
    for scheme in ("AES-256/CBC,SHA-160", "AES-128/CBC,SHA-384", "AES-192/CBC,SHA-512", "AES-256/GCM,SHA-256", "AES-256/CBC,Scrypt"):
        options = ("--algo=RSA", "--params=2048", f"--passphrase={PASSPHRASE}", f"--pbe=PBES2({scheme})")
        yield row(f"keygen --pbe=PBES2({scheme})", "keygen", *options, has_passphrase=True)
    options = ("--algo=RSA", "--params=2048", f"--passphrase={PASSPHRASE}", "--pbe=PBES2(Camellia-256/CBC,SHA-256)")
    yield row("keygen --pbe=PBES2(Camellia-256/CBC,SHA-256)", "keygen", *options, expected="rewritten", has_passphrase=True)
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
        for scheme in ("PBEWithHmacSHA1AndAES_128", "PBEWithHmacSHA1AndAES_256", "PBEWithHmacSHA256AndAES_256", "PBEWithHmacSHA512AndAES_256"):
            yield row(scheme, scheme, "mime", has_passphrase=True)
        for scheme in ("PBEWithSHA1AndDESede", "PBEWithMD5AndDES", "PBEWithSHA1AndRC2_40"):
            yield row(scheme, scheme, "mime", "rewritten", has_passphrase=True)
    if has("keytool"):
        for kind in ("PKCS12", "JKS", "JCEKS"):
            store = FOLDER / f"store.{kind}"
            run("keytool", "-genkeypair", "-keyalg", "RSA", "-keysize", "2048", "-alias", "ira", "-dname", "CN=Ira", "-storetype", kind, "-keystore", store, "-storepass", PASSPHRASE, "-keypass", PASSPHRASE)
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
    for cipher, expected in (("aes-256-cbc", "taken"), ("aes-128-cbc", "taken"), ("des-ede3-cbc", "taken"), ("camellia-256-cbc", "rewritten")):
        yield row(f"export pkcs8, {cipher}", f"k.export({{type: 'pkcs8', format: 'pem', cipher: '{cipher}', passphrase: '{PASSPHRASE}'}})", expected, has_passphrase=True)
    yield row("export pkcs1, aes-256-cbc", f"k.export({{type: 'pkcs1', format: 'pem', cipher: 'aes-256-cbc', passphrase: '{PASSPHRASE}'}})", "rewritten", has_passphrase=True)


def one_line(pem):
    lines = pem.decode().splitlines()
    return f"{lines[0]}\n{''.join(lines[1:-1])}\n{lines[-1]}\n".encode()


def body(pem):
    return base64.b64decode("".join(pem.decode().splitlines()[1:-1]))
