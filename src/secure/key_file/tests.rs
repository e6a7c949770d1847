//! Key files as tools write them, editors leave them and disks damage them.

use proptest::prelude::*;

use super::*;
use crate::secure::identity::{Identity, PublicIdentity};
use crate::secure::vectors::{FROZEN, IRA, text};

const PASSPHRASE: &str = "correct horse";

macro_rules! vector {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/vectors/keys/", $name)).as_slice()
    };
}

fn pem() -> &'static str {
    text(&FROZEN["identities"]["Ira"]["pem"])
}

/// The lines of the frozen key without the first and the last, in one.
fn body() -> String {
    let lines: Vec<&str> = pem().trim().lines().collect();
    lines[1..lines.len() - 1].concat()
}

fn around(body: &str) -> String {
    format!("-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n")
}

fn wrapped(width: usize) -> String {
    let body = body();
    let lines: Vec<&str> = body.as_bytes().chunks(width).map(|line| str::from_utf8(line).unwrap()).collect();
    around(&lines.join("\n"))
}

fn refusal(content: impl AsRef<[u8]>, passphrase: Option<&str>) -> KeyFileError {
    Identity::from_pem(content, passphrase).err().expect("it is refused")
}

#[track_caller]
fn is_ira(what: &str, content: impl AsRef<[u8]>, passphrase: Option<&str>) {
    match Identity::from_pem(content, passphrase) {
        Ok(identity) => assert_eq!(identity.public(), IRA.public(), "{what}"),
        Err(why) => panic!("{what}: {why}"),
    }
}

#[test]
fn a_key_is_taken_however_its_text_is_laid_out() {
    let pem = pem();
    let utf16 =
        |units: fn(u16) -> [u8; 2]| format!("\u{feff}{pem}").encode_utf16().flat_map(units).collect::<Vec<u8>>();
    let table: [(&str, Vec<u8>); 17] = [
        ("a blank line at the end", format!("{pem}\n").into()),
        ("blank lines everywhere", format!("\n\n{}\n\n", pem.replace('\n', "\n\n")).into()),
        ("no line end at the end", pem.trim_end().into()),
        ("one line of base64", around(&body()).into()),
        ("one line in all", pem.replace('\n', " ").into()),
        ("no white space at all but in the labels", pem.replace('\n', "").into()),
        ("CRLF", pem.replace('\n', "\r\n").into()),
        ("CR", pem.replace('\n', "\r").into()),
        ("line ends of two characters", pem.replace('\n', "\\n").into()),
        ("CRLF of four characters", pem.replace('\n', "\\r\\n").into()),
        ("white space at the ends of lines", pem.replace('\n', " \t\n").into()),
        ("indented", pem.replace('\n', "\n    ").into()),
        ("a byte order mark", format!("\u{feff}{pem}").into()),
        ("UTF-16, little endian", utf16(u16::to_le_bytes)),
        ("UTF-16, big endian", utf16(u16::to_be_bytes)),
        ("UTF-16 without a mark", pem.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("no padding", pem.replace('=', "").into()),
    ];
    for (what, content) in table {
        is_ira(what, content, None);
    }
    for width in [1, 16, 48, 60, 64, 70, 72, 76, 1_000] {
        is_ira("lines of another width", wrapped(width), None);
    }
}

#[test]
fn a_key_is_found_among_other_texts_and_blocks() {
    let pem = pem();
    let public = IRA.public().to_pem();
    let certificate = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    let other = str::from_utf8(vector!("user_a.pem")).unwrap();
    let table: [(&str, Vec<u8>); 8] = [
        ("Bag Attributes", format!("Bag Attributes\n    friendlyName: Ira\nKey Attributes: <none>\n{pem}").into()),
        ("a name in Latin-1", [b"friendlyName: Andr\xe9\n", pem.as_bytes()].concat()),
        ("a text behind it", format!("{pem}keep this\n").into()),
        ("a certificate before it", format!("{certificate}{pem}").into()),
        ("a certificate behind it", format!("{pem}{certificate}").into()),
        ("its public half before it", format!("{public}{pem}").into()),
        ("another key behind it, as OpenSSL takes the first", format!("{pem}{other}").into()),
        ("a header in it", pem.replacen('\n', "\nComment: mine\n\n", 1).into()),
    ];
    for (what, content) in table {
        is_ira(what, content, None);
    }
}

#[test]
fn pkcs1_is_taken_and_so_are_labels_that_do_not_fit() {
    is_ira("PKCS#1", vector!("ira_pkcs1.pem"), None);
    let pkcs1 = str::from_utf8(vector!("ira_pkcs1.pem")).unwrap();
    is_ira("PKCS#1 under another label", pkcs1.replace("RSA PRIVATE", "PRIVATE"), None);
    is_ira("PKCS#8 under another label", pem().replace("PRIVATE", "RSA PRIVATE"), None);
}

#[test]
fn encrypted_keys_are_opened_whatever_the_usual_algorithms() {
    let table = [
        ("PBKDF2, HMAC-SHA256", vector!("ira_pbkdf2.pem")),
        ("scrypt", vector!("ira_scrypt.pem")),
        ("HMAC-SHA1, AES-128", vector!("ira_sha1_aes128.pem")),
        ("HMAC-SHA1, triple DES", vector!("ira_sha1_des3.pem")),
        ("HMAC-SHA512, AES-192", vector!("ira_sha512_aes192.pem")),
    ];
    for (what, content) in table {
        is_ira(what, content, Some(PASSPHRASE));
        assert_eq!(refusal(content, None), KeyFileError::Locked, "{what}");
        for wrong in ["incorrect horse", "", "Correct horse"] {
            assert_eq!(refusal(content, Some(wrong)), KeyFileError::WrongPassphrase, "{what}");
        }
    }
}

#[test]
fn a_wrong_passphrase_is_told_as_one_whatever_it_decrypts_to() {
    // Padding holds by chance once in 256 times.
    let content = vector!("ira_sha1_one_round.pem");
    is_ira("one round", content, Some(PASSPHRASE));
    for number in 0..2_000 {
        assert_eq!(refusal(content, Some(&format!("wrong {number}"))), KeyFileError::WrongPassphrase);
    }
}

#[test]
fn encryption_that_is_not_read_is_named_with_and_without_a_passphrase() {
    let table = [
        (vector!("ira_pbes1_md5.pem"), "PBES1/MD5/DES-CBC", true),
        (vector!("ira_des.pem"), "PBES2/HMAC-SHA256/DES-CBC", true),
        (vector!("ira_sha512_256.pem"), "PBES2/HMAC-SHA512-256/AES-256-CBC", false),
        (vector!("ira_pbes1.pem"), "PKCS12/SHA1/DES-EDE3-CBC", false),
    ];
    for (content, name, is_legacy) in table {
        for passphrase in [None, Some(PASSPHRASE), Some("wrong")] {
            let named = KeyFileError::Encryption { name: name.to_owned(), is_legacy };
            assert_eq!(refusal(content, passphrase), named);
        }
    }
    let old = KeyFileError::Foreign(ForeignFileError::OldEncryption { cipher: "AES-256-CBC".into(), is_legacy: false });
    assert_eq!(refusal(vector!("ira_pkcs1_encrypted.pem"), Some(PASSPHRASE)), old);
}

/// DER of a tag and a body of less than 256 bytes.
fn der(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u8::try_from(body.len()).unwrap();
    if length < 0x80 { [&[tag, length], body].concat() } else { [&[tag, 0x81, length], body].concat() }
}

/// An encrypted key with these parts of PBES2 and no content.
fn locked(derivation: &[u8], cipher: &[u8]) -> String {
    let parameters = der(0x30, &[der(0x30, derivation), der(0x30, cipher)].concat());
    let algorithm = der(0x30, &[&der(0x06, oids::PBES2.0)[..], &parameters].concat());
    let whole = der(0x30, &[algorithm, der(0x04, &[0; 32])].concat());
    let mut text = vec![0; whole.len() * 2];
    let body = <base64ct::Base64 as base64ct::Encoding>::encode(&whole, &mut text).unwrap();
    around(body)
}

fn pbkdf2(salt: usize, rounds: &[u8]) -> Vec<u8> {
    let parameters = der(0x30, &[der(0x04, &vec![7; salt]), der(0x02, rounds)].concat());
    [der(0x06, oids::PBKDF2.0), parameters].concat()
}

fn scrypt(cost: &[u8]) -> Vec<u8> {
    let parameters = [der(0x04, &[7; 16]), der(0x02, cost), der(0x02, &[8]), der(0x02, &[1])].concat();
    [der(0x06, oids::SCRYPT.0), der(0x30, &parameters)].concat()
}

#[test]
fn costs_and_lengths_are_bounded_before_the_library_sees_them() {
    let aes = [&der(0x06, b"\x60\x86\x48\x01\x65\x03\x04\x01\x2a")[..], &der(0x04, &[7; 16])].concat();
    let des3 = |vector| [&der(0x06, b"\x2a\x86\x48\x86\xf7\x0d\x03\x07")[..], &der(0x04, &vec![7; vector])].concat();
    assert_eq!(
        refusal(locked(&pbkdf2(16, &[1]), &aes), Some("x")),
        KeyFileError::WrongPassphrase,
        "the others fail alike"
    );
    let table = [
        (locked(&pbkdf2(16, &[0x7f, 0xff, 0xff, 0xff]), &aes), "HMAC-SHA1 in 2147483647 rounds/AES-256-CBC"),
        (locked(&pbkdf2(16, &[0]), &aes), "HMAC-SHA1/AES-256-CBC"),
        (locked(&pbkdf2(64, &[1]), &aes), "HMAC-SHA1 with a salt of 64 bytes/AES-256-CBC"),
        (locked(&scrypt(&[0x40, 0, 0, 0]), &aes), "scrypt (N 1073741824, r 8, p 1)/AES-256-CBC"),
        (locked(&pbkdf2(16, &[1]), &des3(7)), "HMAC-SHA1/DES-EDE3-CBC"),
        (locked(&pbkdf2(16, &[1]), &des3(0)), "HMAC-SHA1/DES-EDE3-CBC"),
        (locked(&pbkdf2(16, &[1]), &des3(16)), "HMAC-SHA1/DES-EDE3-CBC"),
    ];
    for (content, expected) in table {
        match refusal(content, Some("x")) {
            KeyFileError::Encryption { name, .. } => assert_eq!(name, format!("PBES2/{expected}")),
            other => panic!("{expected}: {other:?}"),
        }
    }
    assert!(matches!(refusal(locked(b"", b""), Some("x")), KeyFileError::Encryption { .. }));
}

#[test]
fn files_of_other_kinds_are_refused_for_what_they_are() {
    use ForeignFileError::{
        Algorithm, BareBase64, Base64OfPem, Block, Der, Jwk, OpenSsh, Public, Putty, RsaPss, SshCom, Xml,
    };

    let encode = |bytes: &[u8]| <base64ct::Base64 as base64ct::Encoding>::encode_string(bytes);
    let decoded = text::decode_base64(&body()).unwrap();
    let table: [(Vec<u8>, ForeignFileError); 21] = [
        (vector!("openssh.key").into(), OpenSsh),
        (vector!("openssh_encrypted.key").into(), OpenSsh),
        (vector!("openssh_ed25519.key").into(), Algorithm("ssh-ed25519".into())),
        (vector!("putty.ppk").into(), Putty),
        (b"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nComment: x\n".into(), SshCom),
        (vector!("ed25519.pem").into(), Algorithm("Ed25519".into())),
        (vector!("rsa_pss_only.pem").into(), RsaPss { is_encrypted: false }),
        (b"-----BEGIN EC PRIVATE KEY-----\nMAA=\n-----END EC PRIVATE KEY-----\n".into(), Algorithm("EC".into())),
        (IRA.public().to_pem().into(), Public(PublicForm::Plain)),
        (b"ssh-rsa AAAAB3NzaC1yc2E ira@home\n".into(), Public(PublicForm::Ssh)),
        (b"---- BEGIN SSH2 PUBLIC KEY ----\n".into(), Public(PublicForm::Ssh)),
        (b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n".into(), Public(PublicForm::Certificate)),
        (decoded.to_vec(), Der),
        (encode(pem().as_bytes()).into(), Base64OfPem),
        (body().into(), BareBase64),
        (b"{\"kty\":\"RSA\",\"n\":\"AQAB\"}".into(), Jwk),
        (b"<RSAKeyValue><Modulus>AQAB</Modulus></RSAKeyValue>".into(), Xml),
        (b"\xfe\xed\xfe\xed\0\0\0\x02".into(), ForeignFileError::JavaKeyStore),
        (b"\x1e\xf1\xb5\xb0\0\0\0\0".into(), ForeignFileError::Pvk { is_legacy: false }),
        (b"\x07\x02\0\0\0\xa4\0\0RSA2".into(), ForeignFileError::KeyBlob),
        (b"-----BEGIN \x1b[2JX-----\nMAA=\n-----END \x1b[2JX-----\n".into(), Block("[2JX".into())),
    ];
    for (content, foreign) in table {
        assert_eq!(refusal(&content, None), KeyFileError::Foreign(foreign), "{}", String::from_utf8_lossy(&content));
    }
    let wrapped: [(&[u8], Wrapping); 5] = [
        (b"-----BEGIN PGP MESSAGE-----\n\nabcd\n-----END PGP MESSAGE-----\n", Wrapping::Gpg),
        (b"-----BEGIN AGE ENCRYPTED FILE-----\nabcd\n-----END AGE ENCRYPTED FILE-----\n", Wrapping::Age),
        (b"age-encryption.org/v1\n\xff", Wrapping::Age),
        (b"$ANSIBLE_VAULT;1.1;AES256\n6162\n", Wrapping::AnsibleVault),
        (b"\x1f\x8b\x08\x00", Wrapping::Gzip),
    ];
    for (content, tool) in wrapped {
        assert_eq!(refusal(content, None), KeyFileError::Foreign(ForeignFileError::Wrapped(tool)));
    }
    assert_eq!(refusal(vector!("openssh_1024.key"), None), RsaKeyError::Size(1024).into());
    assert_eq!(refusal(vector!("three_primes.pem"), None), KeyFileError::Foreign(ForeignFileError::MultiPrime(3)));
}

#[test]
fn damage_is_told_by_its_first_sign() {
    use DamageError::{Base64, Character, Cut, Empty, NoBegin, NoEnd, NoKey, OtherEnd, Structure, Zeros};

    let pem = pem();
    let lines: Vec<&str> = pem.lines().collect();
    let table: [(Vec<u8>, DamageError); 13] = [
        (b"".into(), Empty),
        (b" \r\n\n".into(), Empty),
        (vec![0; 1_700], Zeros),
        (b"my key is elsewhere".into(), NoKey),
        (vec![0xff; 100], NoKey),
        (pem[..900].into(), NoEnd),
        (pem[..pem.len() - 10].into(), OtherEnd),
        (lines[..lines.len() - 1].join("\n").into(), NoEnd),
        (lines[1..].join("\n").into(), NoBegin),
        (pem[1..].into(), NoBegin),
        (pem.replace("END PRIVATE", "END PUBLIC").into(), OtherEnd),
        (pem.replacen("MII", "M!I", 1).into(), Character(2)),
        (around("MAA=").into(), Structure),
    ];
    for (content, damage) in table {
        assert_eq!(refusal(&content, None), KeyFileError::Damaged(damage), "{}", String::from_utf8_lossy(&content));
    }
    let length = text::decode_base64(&body()).unwrap().len();
    let short = around(&body()[..body().len() - 64]);
    assert!(matches!(refusal(short, None), KeyFileError::Damaged(Cut { announced, .. }) if announced == length));
    assert_eq!(refusal(around(&body()[1..]), None), KeyFileError::Damaged(Base64));
}

#[test]
fn a_public_file_is_read_as_leniently() {
    let public = IRA.public();
    let pem = public.to_pem();
    let pkcs1 = vector!("ira_pkcs1_public.pem");
    for content in [pem.as_bytes(), pkcs1, pem.replace('\n', "\r\n\n").as_bytes(), format!("mine\n{pem}\n").as_bytes()]
    {
        assert_eq!(PublicIdentity::from_pem(content).as_ref(), Ok(public));
    }
    let refused = |content: &[u8]| PublicIdentity::from_pem(content).err();
    assert_eq!(refused(self::pem().as_bytes()), Some(KeyFileError::Foreign(ForeignFileError::PrivateKey)));
    assert_eq!(refused(vector!("openssh.key")), Some(KeyFileError::Foreign(ForeignFileError::PrivateKey)));
    assert_eq!(refused(public.spki()), Some(KeyFileError::Foreign(ForeignFileError::Public(PublicForm::Plain))));
    assert_eq!(refused(b"ssh-rsa AAAA"), Some(KeyFileError::Foreign(ForeignFileError::Public(PublicForm::Ssh))));
    assert_eq!(refused(b""), Some(KeyFileError::Damaged(DamageError::Empty)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn no_bytes_panic(content: Vec<u8>, at in 0..1_800_usize, bent: u8) {
        let _ = Identity::from_pem(&content, Some("x"));
        let _ = PublicIdentity::from_pem(&content);
        let framed = [b"-----BEGIN PRIVATE KEY-----\n", &content[..], b"\n-----END PRIVATE KEY-----\n"].concat();
        let _ = Identity::from_pem(&framed, Some("x"));
        // A key, with one byte that is another.
        for vector in [pem().as_bytes(), vector!("ira_sha1_one_round.pem"), vector!("openssh.key"), vector!("putty.ppk")] {
            let mut changed = vector.to_vec();
            let at = at % changed.len();
            changed[at] = bent;
            if let Ok(identity) = Identity::from_pem(&changed, Some(PASSPHRASE)) {
                prop_assert_eq!(identity.public(), IRA.public());
            }
        }
    }
}
