//! Datagrams of unknown connections, as the server handles them. It keeps no state of them. No socket, no clock.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use rand::CryptoRng;

use super::datagram::{Cookie, Datagram, Id, reset, syn_ack};
use super::kcp_check;
use crate::secure::datagram::{CookieSecrets, Origin};

/// Meets strangers.
pub(super) struct Acceptor {
    cookies: CookieSecrets,
    opened: Instant,
}

/// Decision on a stranger's datagram.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum AcceptDecision {
    /// Ignore it.
    Ignored,
    /// It is answered, with less than it was.
    Answered(Vec<u8>),
    /// It begins a conversation, from an address where its sender reads.
    Begins(Cookie),
}

impl Acceptor {
    pub(super) fn new(rng: &mut impl CryptoRng, now: Instant) -> Self {
        Self { cookies: CookieSecrets::new(rng, Duration::ZERO), opened: now }
    }

    /// A datagram of a conversation that is not known, or a SYN of any; `whole` is all of it.
    pub(super) fn meet(
        &mut self,
        from: SocketAddr,
        (id, datagram): (Id, &Datagram<'_>),
        whole: &[u8],
        now: Instant,
        rng: &mut impl CryptoRng,
    ) -> AcceptDecision {
        let (v4, v6);
        let address: &[u8] = match from.ip().to_canonical() {
            IpAddr::V4(address) => {
                v4 = address.octets();
                &v4
            }
            IpAddr::V6(address) => {
                v6 = address.octets();
                &v6
            }
        };
        let origin = Origin { address, port: from.port(), conversation: id };
        let now = now.saturating_duration_since(self.opened);
        let unknown = || reset(id, whole).map_or(AcceptDecision::Ignored, AcceptDecision::Answered);
        match datagram {
            Datagram::Syn => AcceptDecision::Answered(syn_ack(id, &self.cookies.make(origin, now, rng))),
            Datagram::Ack(cookie, segments) => {
                // The timestamps of a stream that has not begun belong to no clock.
                let content = kcp_check::check(segments, id, kcp_check::HANDSHAKE, 0);
                if content.is_some_and(|content| content.begins) && self.cookies.holds(cookie, origin, now, rng) {
                    AcceptDecision::Begins(*cookie)
                } else {
                    unknown()
                }
            }
            Datagram::Data { .. } | Datagram::Path { .. } => unknown(),
            Datagram::SynAck(_) | Datagram::Reset(_) => AcceptDecision::Ignored,
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::net::udp::datagram::{MAX_DATAGRAM, ack, parse, syn, untagged};
    use crate::secure::datagram::TAG;

    const ID: Id = *b"talk";

    fn from(port: u16) -> SocketAddr {
        (IpAddr::from([192, 0, 2, 1]), port).into()
    }

    fn met(reception: &mut Acceptor, from: SocketAddr, bytes: &[u8], now: Instant) -> AcceptDecision {
        let (id, datagram) = parse(bytes).unwrap();
        reception.meet(from, (id, &datagram), bytes, now, &mut rand::rng())
    }

    /// A segment with the stream's first byte.
    fn first(number: u8) -> Vec<u8> {
        let mut segment = [&ID[..], &[81, 0, 0, 1], &[0; 16], &[1, 0]].concat();
        segment[12] = number;
        segment[20] = 1;
        segment.truncate(24);
        segment.push(b'!');
        segment
    }

    fn cookie(reception: &mut Acceptor, from: SocketAddr, now: Instant) -> Cookie {
        let AcceptDecision::Answered(answer) = met(reception, from, &syn(ID), now) else { panic!() };
        assert!(answer.len() < 64);
        let Some((ID, Datagram::SynAck(cookie))) = parse(&answer) else { panic!() };
        cookie
    }

    /// PROTOCOL.md 10.2-3, 10.2-5.
    #[test]
    fn a_conversation_begins_with_a_cookie_of_its_address_and_its_first_bytes() {
        let now = Instant::now();
        let mut reception = Acceptor::new(&mut rand::rng(), now);
        let cookie = cookie(&mut reception, from(1), now);
        let begins = ack(ID, &cookie, &first(0));
        assert_eq!(met(&mut reception, from(1), &begins, now), AcceptDecision::Begins(cookie));
        let is_reset = |met: AcceptDecision, of: &[u8]| {
            let AcceptDecision::Answered(answer) = met else { panic!("{met:?}") };
            assert_eq!(parse(&answer), Some((ID, Datagram::Reset(*of.last_chunk().unwrap()))));
            assert!(answer.len() < of.len());
        };
        is_reset(met(&mut reception, from(2), &begins, now), &begins);
        is_reset(met(&mut reception, from(1), &begins, now + Duration::from_secs(7_200)), &begins);
        let wrong = ack(ID, &[0; TAG], &first(0));
        is_reset(met(&mut reception, from(1), &wrong, now), &wrong);
        let late = ack(ID, &cookie, &first(1));
        is_reset(met(&mut reception, from(1), &late, now), &late);
        let data = [untagged(ID, 1, b""), vec![0; TAG]].concat();
        is_reset(met(&mut reception, from(1), &data, now), &data);
        assert_eq!(met(&mut reception, from(1), &ack(ID, &cookie, b""), now), AcceptDecision::Ignored, "too short");
    }

    #[test]
    fn whatever_comes_nothing_panics_and_no_answer_is_as_long_as_what_it_answers() {
        let (mut rng, now) = (StdRng::seed_from_u64(1), Instant::now());
        let mut reception = Acceptor::new(&mut rng, now);
        for _ in 0..100_000 {
            let mut bytes = vec![0; rng.random_range(..=MAX_DATAGRAM)];
            rng.fill(&mut bytes[..]);
            if let Some(kind) = bytes.first_mut() {
                *kind %= 6;
            }
            if let Some((id, datagram)) = parse(&bytes) {
                match reception.meet(from(1), (id, &datagram), &bytes, now, &mut rng) {
                    AcceptDecision::Answered(answer) => assert!(answer.len() < bytes.len()),
                    AcceptDecision::Begins(_) => panic!("by chance"),
                    AcceptDecision::Ignored => {}
                }
            }
        }
    }
}
