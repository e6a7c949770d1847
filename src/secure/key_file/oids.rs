//! Object identifiers of keys and of their encryption, and the names that people know them by.

use pkcs8::spki::ObjectIdentifier;

/// An object identifier's bytes in DER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ObjectId<'a>(pub(super) &'a [u8]);

/// rsaEncryption, RFC 8017 appendix A.1.
pub(super) const RSA: ObjectId<'static> = ObjectId(b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01");
/// id-PBES2, RFC 8018 appendix A.4.
pub(super) const PBES2: ObjectId<'static> = ObjectId(b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d");
/// id-PBKDF2, RFC 8018 appendix A.2.
pub(super) const PBKDF2: ObjectId<'static> = ObjectId(b"\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0c");
/// id-scrypt, RFC 7914 §7.1.
pub(super) const SCRYPT: ObjectId<'static> = ObjectId(b"\x2b\x06\x01\x04\x01\xda\x47\x04\x0b");
/// The arc of PKCS #7, of which PKCS #12 has one in its second place.
const PKCS7_ARC: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x07";

/// The arc of PKCS #12's schemes; RC4 is 1 and 2 in it, RC2 5 and 6.
const PKCS12_ARC: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x0c\x01";

/// Algorithms of keys.
const KEYS: [(&str, &str); 24] = [
    ("1.2.840.113549.1.1.1", "RSA"),
    ("1.2.840.113549.1.1.7", "RSA-OAEP"),
    ("1.2.840.113549.1.1.10", "RSA-PSS"),
    ("1.2.840.113549.1.3.1", "Diffie-Hellman"),
    ("1.2.840.10046.2.1", "Diffie-Hellman"),
    ("1.2.840.10040.4.1", "DSA"),
    ("1.2.840.10045.2.1", "EC"),
    ("1.3.101.110", "X25519"),
    ("1.3.101.111", "X448"),
    ("1.3.101.112", "Ed25519"),
    ("1.3.101.113", "Ed448"),
    ("1.2.156.10197.1.301", "SM2"),
    ("1.2.643.2.2.19", "GOST"),
    ("1.2.643.7.1.1.1.1", "GOST"),
    ("1.2.643.7.1.1.1.2", "GOST"),
    ("2.16.840.1.101.3.4.3.17", "ML-DSA"),
    ("2.16.840.1.101.3.4.3.18", "ML-DSA"),
    ("2.16.840.1.101.3.4.3.19", "ML-DSA"),
    ("2.16.840.1.101.3.4.4.1", "ML-KEM"),
    ("2.16.840.1.101.3.4.4.2", "ML-KEM"),
    ("2.16.840.1.101.3.4.4.3", "ML-KEM"),
    ("1.3.6.1.4.1.3029.1.2.1", "ElGamal"),
    ("2.23.133.10.1.3", "TPM"),
    ("1.3.6.1.4.1.11591.15.1", "Ed25519"),
];

/// Functions that PBKDF2 computes with.
const PRFS: [(&str, &str); 13] = [
    ("1.3.6.1.5.5.8.1.1", "HMAC-MD5"),
    ("1.2.840.113549.2.7", "HMAC-SHA1"),
    ("1.2.840.113549.2.8", "HMAC-SHA224"),
    ("1.2.840.113549.2.9", "HMAC-SHA256"),
    ("1.2.840.113549.2.10", "HMAC-SHA384"),
    ("1.2.840.113549.2.11", "HMAC-SHA512"),
    ("1.2.840.113549.2.12", "HMAC-SHA512-224"),
    ("1.2.840.113549.2.13", "HMAC-SHA512-256"),
    ("2.16.840.1.101.3.4.2.13", "HMAC-SHA3-224"),
    ("2.16.840.1.101.3.4.2.14", "HMAC-SHA3-256"),
    ("2.16.840.1.101.3.4.2.15", "HMAC-SHA3-384"),
    ("2.16.840.1.101.3.4.2.16", "HMAC-SHA3-512"),
    ("1.2.156.10197.1.401.3.1", "HMAC-SM3"),
];

/// Ciphers of PBES2.
const CIPHERS: [(&str, &str); 37] = [
    ("2.16.840.1.101.3.4.1.1", "AES-128-ECB"),
    ("2.16.840.1.101.3.4.1.2", "AES-128-CBC"),
    ("2.16.840.1.101.3.4.1.3", "AES-128-OFB"),
    ("2.16.840.1.101.3.4.1.4", "AES-128-CFB"),
    ("2.16.840.1.101.3.4.1.6", "AES-128-GCM"),
    ("2.16.840.1.101.3.4.1.7", "AES-128-CCM"),
    ("2.16.840.1.101.3.4.1.21", "AES-192-ECB"),
    ("2.16.840.1.101.3.4.1.22", "AES-192-CBC"),
    ("2.16.840.1.101.3.4.1.23", "AES-192-OFB"),
    ("2.16.840.1.101.3.4.1.24", "AES-192-CFB"),
    ("2.16.840.1.101.3.4.1.26", "AES-192-GCM"),
    ("2.16.840.1.101.3.4.1.41", "AES-256-ECB"),
    ("2.16.840.1.101.3.4.1.42", "AES-256-CBC"),
    ("2.16.840.1.101.3.4.1.43", "AES-256-OFB"),
    ("2.16.840.1.101.3.4.1.44", "AES-256-CFB"),
    ("2.16.840.1.101.3.4.1.46", "AES-256-GCM"),
    ("2.16.840.1.101.3.4.1.47", "AES-256-CCM"),
    ("1.2.840.113549.3.7", "DES-EDE3-CBC"),
    ("1.3.14.3.2.7", "DES-CBC"),
    ("1.3.14.3.2.6", "DES-ECB"),
    ("1.3.14.3.2.8", "DES-OFB"),
    ("1.3.14.3.2.9", "DES-CFB"),
    ("1.2.840.113549.3.2", "RC2-CBC"),
    ("1.2.840.113549.3.4", "RC4"),
    ("1.2.840.113549.3.9", "RC5-CBC"),
    ("1.3.6.1.4.1.3029.1.2", "BF-CBC"),
    ("1.2.840.113533.7.66.10", "CAST5-CBC"),
    ("1.3.6.1.4.1.188.7.1.1.2", "IDEA-CBC"),
    ("1.2.410.200004.1.4", "SEED-CBC"),
    ("1.2.392.200011.61.1.1.1.2", "CAMELLIA-128-CBC"),
    ("1.2.392.200011.61.1.1.1.3", "CAMELLIA-192-CBC"),
    ("1.2.392.200011.61.1.1.1.4", "CAMELLIA-256-CBC"),
    ("1.2.410.200046.1.1.2", "ARIA-128-CBC"),
    ("1.2.410.200046.1.1.7", "ARIA-192-CBC"),
    ("1.2.410.200046.1.1.12", "ARIA-256-CBC"),
    ("1.2.156.10197.1.104.2", "SM4-CBC"),
    ("1.2.840.113549.1.9.16.3.18", "CHACHA20-POLY1305"),
];

/// Schemes without parts: PBES1 (RFC 8018 §6.1) and those of PKCS #12 (RFC 7292 appendix C).
const SCHEMES: [(&str, &str); 13] = [
    ("1.2.840.113549.1.5.1", "PBES1/MD2/DES-CBC"),
    ("1.2.840.113549.1.5.3", "PBES1/MD5/DES-CBC"),
    ("1.2.840.113549.1.5.4", "PBES1/MD2/RC2-CBC"),
    ("1.2.840.113549.1.5.6", "PBES1/MD5/RC2-CBC"),
    ("1.2.840.113549.1.5.10", "PBES1/SHA1/DES-CBC"),
    ("1.2.840.113549.1.5.11", "PBES1/SHA1/RC2-CBC"),
    ("1.2.840.113549.1.5.14", "PBMAC1"),
    ("1.2.840.113549.1.12.1.1", "PKCS12/SHA1/RC4-128"),
    ("1.2.840.113549.1.12.1.2", "PKCS12/SHA1/RC4-40"),
    ("1.2.840.113549.1.12.1.3", "PKCS12/SHA1/DES-EDE3-CBC"),
    ("1.2.840.113549.1.12.1.4", "PKCS12/SHA1/DES-EDE2-CBC"),
    ("1.2.840.113549.1.12.1.5", "PKCS12/SHA1/RC2-128-CBC"),
    ("1.2.840.113549.1.12.1.6", "PKCS12/SHA1/RC2-40-CBC"),
];

/// Parts of names that OpenSSL 3 knows in its legacy provider alone.
const LEGACY: [&str; 11] =
    ["PBES1/", "/DES-CBC", "/DES-CFB", "/DES-OFB", "RC2", "RC4", "RC5", "CAST5", "BF-", "IDEA", "SEED"];

impl ObjectId<'_> {
    /// True in the arc of PKCS #7.
    pub(super) fn is_pkcs7(self) -> bool {
        self.0.starts_with(PKCS7_ARC)
    }

    /// The name of a key's algorithm.
    pub(super) fn key_name(self) -> String {
        self.name(&KEYS)
    }

    /// The name of a function of PBKDF2.
    pub(super) fn prf_name(self) -> String {
        self.name(&PRFS)
    }

    /// The name of a cipher of PBES2.
    pub(super) fn cipher_name(self) -> String {
        self.name(&CIPHERS)
    }

    /// The name of a scheme that is not PBES2.
    pub(super) fn scheme_name(self) -> String {
        self.name(&SCHEMES)
    }

    /// The name in a table, or else the identifier in dots.
    fn name(self, table: &[(&str, &str)]) -> String {
        let dotted = ObjectIdentifier::from_bytes(self.0).map_or("no identifier".to_owned(), |oid| oid.to_string());
        table.iter().find(|(oid, _)| *oid == dotted).map_or(dotted, |(_, name)| (*name).to_owned())
    }
}

/// Returns true if OpenSSL 3 reads a scheme of this name with its legacy provider alone.
pub(super) fn is_legacy(name: &str) -> bool {
    LEGACY.iter().any(|part| name.contains(part))
}

/// Returns true if a part of a PKCS #12 store is encrypted by RC2 or RC4, as Windows and old Java do.
pub(super) fn has_old_pkcs12(store: &[u8]) -> bool {
    let mut schemes = store.windows(PKCS12_ARC.len() + 1).filter_map(|window| window.strip_prefix(PKCS12_ARC));
    schemes.any(|last| matches!(last, [1 | 2 | 5 | 6]))
}
