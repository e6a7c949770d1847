//! The DER in a key file, by its structure alone: a label may say anything.

use super::oids::ObjectId;
use super::{DamageError, KeyFileError, PrivateNumbers, PublicNumbers};

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
/// The longest length that is read, in bytes: more than a file may have.
const MAX_LENGTH_BYTES: usize = 4;

/// Structure of some DER.
pub(super) enum DerContent<'a> {
    /// PrivateKeyInfo, RFC 5958 §2.
    Pkcs8 { algorithm: ObjectId<'a>, key: &'a [u8] },
    /// RSAPrivateKey, RFC 8017 appendix A.1.2.
    Pkcs1(&'a [u8]),
    /// EncryptedPrivateKeyInfo, RFC 5958 §3. `whole` is all of it.
    Encrypted { scheme: ObjectId<'a>, parameters: &'a [u8], whole: &'a [u8] },
    /// SubjectPublicKeyInfo, RFC 5280 §4.1.
    Spki { algorithm: ObjectId<'a>, key: &'a [u8] },
    /// RSAPublicKey, RFC 8017 appendix A.1.1.
    Pkcs1Public(PublicNumbers<'a>),
    /// ECPrivateKey, RFC 5915 §3.
    Sec1,
    /// A DSA private key as OpenSSL writes it.
    Dsa,
    /// PFX, RFC 7292 §4, all of it.
    Pkcs12(&'a [u8]),
    /// Certificate or certificate request, RFC 5280 and RFC 2986.
    Certificate,
}

/// A value of DER with its tag.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    pub(super) tag: u8,
    pub(super) body: &'a [u8],
}

/// Values of DER, one behind the other.
pub(super) struct Values<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Values<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        let (tag, start, length) = header(self.0)?;
        let end = start.checked_add(length)?;
        let body = self.0.get(start..end)?;
        self.0 = self.0.get(end..)?;
        Some(Value { tag, body })
    }
}

/// Tag, place and length of a value's body, whether or not all of it is there.
fn header(bytes: &[u8]) -> Option<(u8, usize, usize)> {
    let (tag, first) = (*bytes.first()?, usize::from(*bytes.get(1)?));
    if first < 0x80 {
        return Some((tag, 2, first));
    }
    let count = first - 0x80;
    if !(1..=MAX_LENGTH_BYTES).contains(&count) {
        return None;
    }
    let length = bytes.get(2..2 + count)?.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte));
    Some((tag, 2 + count, length))
}

/// Parses DER, whatever of a key it holds.
pub(super) fn parse(der: &[u8]) -> Result<DerContent<'_>, KeyFileError> {
    let damaged = |why| KeyFileError::Damaged(why);
    if let Some((SEQUENCE, start, length)) = header(der)
        && start + length > der.len()
    {
        return Err(damaged(DamageError::Cut { found: der.len(), announced: start + length }));
    }
    content(der).ok_or(damaged(DamageError::Structure))
}

fn content(der: &[u8]) -> Option<DerContent<'_>> {
    let mut outer = Values(der);
    let whole = outer.next().filter(|value| value.tag == SEQUENCE)?;
    let whole_der = &der[..der.len() - outer.0.len()];
    let mut inner = Values(whole.body);
    let (first, second) = (inner.next()?, inner.next()?);
    match (first.tag, second.tag) {
        (INTEGER, SEQUENCE) => match (object_id(second.body)?, inner.next()) {
            (algorithm, Some(Value { tag: OCTET_STRING, body: key })) => Some(DerContent::Pkcs8 { algorithm, key }),
            (kind, _) if kind.is_pkcs7() => Some(DerContent::Pkcs12(whole_der)),
            _ => None,
        },
        (INTEGER, OCTET_STRING) => Some(DerContent::Sec1),
        (INTEGER, INTEGER) => match 2 + inner.take_while(|value| value.tag == INTEGER).count() {
            2 => {
                let numbers = PublicNumbers { modulus: number(first)?, exponent: number(second)? };
                Some(DerContent::Pkcs1Public(numbers))
            }
            6 => Some(DerContent::Dsa),
            9 => Some(DerContent::Pkcs1(whole_der)),
            _ => None,
        },
        (SEQUENCE, OCTET_STRING) => {
            let mut algorithm = Values(first.body);
            let scheme = algorithm.next().filter(|value| value.tag == OID)?;
            Some(DerContent::Encrypted { scheme: ObjectId(scheme.body), parameters: algorithm.0, whole: whole_der })
        }
        (SEQUENCE, BIT_STRING) => {
            let key = second.body.strip_prefix(&[0])?;
            Some(DerContent::Spki { algorithm: object_id(first.body)?, key })
        }
        (SEQUENCE, SEQUENCE) => Some(DerContent::Certificate),
        _ => None,
    }
}

/// Numbers of an RSA private key, and how many primes it has beyond two.
pub(super) fn rsa_private(der: &[u8]) -> Result<(PrivateNumbers<'_>, usize), KeyFileError> {
    rsa_numbers(der).ok_or(KeyFileError::Damaged(DamageError::Structure))
}

fn rsa_numbers(der: &[u8]) -> Option<(PrivateNumbers<'_>, usize)> {
    let whole = Values(der).next().filter(|value| value.tag == SEQUENCE)?;
    let mut values = Values(whole.body);
    let mut next = || number(values.next()?);
    let _version = next()?;
    let (modulus, exponent, private_exponent) = (next()?, next()?, next()?);
    let primes = [next()?, next()?];
    // Both exponents and the coefficient follow from the rest, and are computed anew.
    for _derived in 0..3 {
        next()?;
    }
    let more = values.next().map_or(0, |others| Values(others.body).count());
    Some((PrivateNumbers { modulus, exponent, private_exponent, primes }, more))
}

/// A positive INTEGER without its leading zeros.
fn number(value: Value<'_>) -> Option<&[u8]> {
    if value.tag != INTEGER || *value.body.first()? >= 0x80 {
        return None;
    }
    let start = value.body.iter().position(|byte| *byte != 0).unwrap_or(value.body.len());
    Some(&value.body[start..])
}

/// The OBJECT IDENTIFIER with which an AlgorithmIdentifier begins.
pub(super) fn object_id(algorithm: &[u8]) -> Option<ObjectId<'_>> {
    Values(algorithm).next().filter(|value| value.tag == OID).map(|value| ObjectId(value.body))
}
