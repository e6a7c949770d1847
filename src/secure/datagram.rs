//! Authentication of datagrams: tags once there is a secret, cookies before. PROTOCOL.md §10.
//!
//! No Clone, no Debug; wiped when dropped.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use rand::CryptoRng;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::wire::codec::Writer;

/// Bytes of a tag, and of a cookie.
pub const TAG: usize = 16;
/// A cookie secret makes new cookies for so long, and its cookies hold as long again.
const RENEWAL: Duration = Duration::from_secs(60 * 60);

/// Authenticates the datagrams of one direction of one connection.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct DatagramKey(pub(super) [u8; 32]);

impl DatagramKey {
    /// Returns the bytes after a datagram's head.
    #[must_use]
    pub fn tag(&self, datagram: &[u8]) -> [u8; TAG] {
        shortened(mac(&self.0, datagram))
    }

    /// True if this tag is the datagram's; compared in constant time.
    #[must_use]
    pub fn verify(&self, datagram: &[u8], tag: &[u8; TAG]) -> bool {
        mac(&self.0, datagram).verify_truncated_left(tag).is_ok()
    }
}

/// One end's keys for datagrams.
pub struct DatagramKeys {
    /// For what goes out.
    pub outgoing: DatagramKey,
    /// For what comes in.
    pub incoming: DatagramKey,
}

#[cfg(test)]
impl DatagramKeys {
    /// A client's and its server's, as if they had had a handshake.
    pub(crate) fn of_both(seed: u8) -> (Self, Self) {
        let key = |which: u8| DatagramKey([seed ^ which; 32]);
        (Self { outgoing: key(1), incoming: key(2) }, Self { outgoing: key(2), incoming: key(1) })
    }
}

/// Where a datagram comes from, and for which conversation.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The address: 4 or 16 bytes.
    pub address: &'a [u8],
    /// The port.
    pub port: u16,
    /// The conversation.
    pub conversation: [u8; 4],
}

/// Makes cookies, so that the server keeps no state before an address is validated.
pub struct CookieSecrets {
    current: CookieSecret,
    last: Option<CookieSecret>,
    /// When the current one was made.
    since: Duration,
}

#[derive(Zeroize, ZeroizeOnDrop)]
struct CookieSecret([u8; 32]);

impl CookieSecrets {
    /// A first secret. Times are since whenever the caller likes, and never go back.
    #[must_use]
    pub fn new(rng: &mut impl CryptoRng, now: Duration) -> Self {
        Self { current: CookieSecret::new(rng), last: None, since: now }
    }

    /// The cookie for who asks from there.
    pub fn make(&mut self, origin: Origin<'_>, now: Duration, rng: &mut impl CryptoRng) -> [u8; TAG] {
        self.renew(now, rng);
        shortened(self.current.mac(origin))
    }

    /// True if a cookie is one of the last hour or two for who is there; compared in constant time.
    pub fn holds(&mut self, cookie: &[u8; TAG], origin: Origin<'_>, now: Duration, rng: &mut impl CryptoRng) -> bool {
        self.renew(now, rng);
        let fits = |secret: &CookieSecret| secret.mac(origin).verify_truncated_left(cookie).is_ok();
        fits(&self.current) || self.last.as_ref().is_some_and(fits)
    }

    /// Checked when datagrams come, so that no timer runs for it.
    fn renew(&mut self, now: Duration, rng: &mut impl CryptoRng) {
        let age = now.saturating_sub(self.since);
        if age >= RENEWAL {
            let old = std::mem::replace(&mut self.current, CookieSecret::new(rng));
            self.last = (age < 2 * RENEWAL).then_some(old);
            // By the hour, not from now on: a quiet time extends no cookie.
            self.since = if self.last.is_some() { self.since + RENEWAL } else { now };
        }
    }
}

impl CookieSecret {
    fn new(rng: &mut impl CryptoRng) -> Self {
        let mut secret = Self([0; 32]);
        rng.fill_bytes(&mut secret.0);
        secret
    }

    fn mac(&self, origin: Origin<'_>) -> Hmac<Sha256> {
        let Origin { address, port, conversation } = origin;
        let head = Writer::new().array(4).text("cfb-chat/1 cookie").bytes(address);
        mac(&self.0, &head.uint(port.into()).bytes(&conversation).finish())
    }
}

fn mac(key: &[u8; 32], over: &[u8]) -> Hmac<Sha256> {
    <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length").chain_update(over)
}

fn shortened(mac: Hmac<Sha256>) -> [u8; TAG] {
    let mut short = [0; TAG];
    short.copy_from_slice(&mac.finalize().into_bytes()[..TAG]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secure::vectors::{FROZEN, Script, array, bytes, cases, repeatable};

    const HOUR: Duration = Duration::from_secs(3_600);
    const NEARLY_ONE: Duration = Duration::from_secs(3_599);
    const NEARLY_TWO: Duration = Duration::from_secs(7_199);

    fn origin() -> Origin<'static> {
        Origin { address: &[192, 0, 2, 1], port: 4_096, conversation: *b"talk" }
    }

    #[test]
    fn tags_are_the_frozen_ones_and_no_other_holds() {
        for case in cases(&FROZEN["datagrams"]["tags"]) {
            let (key, datagram, tag) =
                (DatagramKey(array(&case["key"])), bytes(&case["datagram"]), array(&case["tag"]));
            assert_eq!(key.tag(&datagram), tag);
            assert!(key.verify(&datagram, &tag));
            for at in 0..datagram.len() + TAG {
                let (mut bent, mut bent_tag) = (datagram.clone(), tag);
                *bent.get_mut(at).unwrap_or(&mut bent_tag[at.saturating_sub(datagram.len()) % TAG]) ^= 1;
                assert!(!key.verify(&bent, &bent_tag) || (bent == datagram && bent_tag == tag));
            }
            assert!(!DatagramKey([0; 32]).verify(&datagram, &tag));
        }
    }

    #[test]
    fn cookies_are_the_frozen_ones() {
        for case in cases(&FROZEN["datagrams"]["cookies"]) {
            let address = bytes(&case["address"]);
            let port = u16::try_from(case["port"].as_u64().unwrap()).unwrap();
            let origin = Origin { address: &address, port, conversation: array(&case["conversation"]) };
            let rng = &mut Script::new(&[&bytes(&case["secret"])]);
            let cookie = CookieSecrets::new(rng, Duration::ZERO).make(origin, Duration::ZERO, rng);
            assert_eq!(cookie, array(&case["cookie"]));
        }
    }

    #[test]
    fn a_cookie_holds_for_its_origin_alone() {
        let rng = &mut repeatable();
        let mut secrets = CookieSecrets::new(rng, Duration::ZERO);
        let cookie = secrets.make(origin(), Duration::ZERO, rng);
        assert!(secrets.holds(&cookie, origin(), Duration::ZERO, rng));
        let others = [
            Origin { address: &[192, 0, 2, 2], ..origin() },
            Origin { address: &[0; 16], ..origin() },
            Origin { port: 4_097, ..origin() },
            Origin { conversation: *b"Talk", ..origin() },
        ];
        for other in others {
            assert!(!secrets.holds(&cookie, other, Duration::ZERO, rng));
        }
        assert!(!CookieSecrets::new(rng, Duration::ZERO).holds(&cookie, origin(), Duration::ZERO, rng));
    }

    #[test]
    fn a_cookie_holds_for_an_hour_at_least_and_two_at_most() {
        let rng = &mut repeatable();
        let mut secrets = CookieSecrets::new(rng, Duration::ZERO);
        let early = secrets.make(origin(), Duration::ZERO, rng);
        let late = secrets.make(origin(), NEARLY_ONE, rng);
        assert_eq!(early, late);
        assert!(secrets.holds(&late, origin(), NEARLY_TWO, rng));
        assert_ne!(secrets.make(origin(), NEARLY_TWO, rng), late);
        assert!(!secrets.holds(&late, origin(), 2 * HOUR, rng));
        let mut slept = CookieSecrets::new(rng, Duration::ZERO);
        let old = slept.make(origin(), Duration::ZERO, rng);
        assert!(!slept.holds(&old, origin(), 2 * HOUR, rng), "nothing came for so long");
    }
}
