//! Datagrams as bytes.

use crate::secure::datagram::TAG;

/// The longest datagram, in bytes.
pub const MAX_DATAGRAM: usize = 1_200;
/// Bytes around the segments of a DATA, which has more of them than an ACK.
pub(super) const AROUND: usize = 1 + 4 + 8 + TAG;
/// Length of a PATH challenge and its answer, in bytes.
pub const QUESTION: usize = 8;
/// The length of a PATH.
pub(super) const PATH: usize = AROUND + QUESTION;
/// The length of a SYN: more than that of its answer.
const SYN: usize = 64;
/// A RESET answers only datagrams longer than itself.
pub(super) const MAY_BE_RESET: usize = 22;

const TYPE_SYN: u8 = 0;
const TYPE_SYN_ACK: u8 = 1;
const TYPE_ACK: u8 = 2;
const TYPE_RESET: u8 = 3;
const TYPE_DATA: u8 = 4;
const TYPE_PATH: u8 = 5;

/// A conversation: bytes that its client has drawn.
pub type Id = [u8; 4];

/// Proof that a peer receives datagrams at its address.
pub type Cookie = [u8; TAG];

/// A datagram for a conversation; none of it has been checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datagram<'a> {
    /// A client asks for a cookie.
    Syn,
    /// It gets one.
    SynAck(Cookie),
    /// Segments, before there is a secret.
    Ack(Cookie, &'a [u8]),
    /// The server does not know the conversation; with the last bytes of what it answers.
    Reset([u8; TAG]),
    /// Segments, or the end of the stream, when there is a secret.
    Data {
        /// Counts a direction's.
        number: u64,
        /// None at the end of the stream.
        segments: &'a [u8],
        /// Over `tagged`.
        tag: [u8; TAG],
        /// All that is before the tag.
        tagged: &'a [u8],
    },
    /// The server challenges the client's new address; the client echoes the challenge.
    Path {
        /// Counted with a direction's DATA.
        number: u64,
        /// The challenge, or its echo.
        question: [u8; QUESTION],
        /// Over `tagged`.
        tag: [u8; TAG],
        /// All that is before the tag.
        tagged: &'a [u8],
    },
}

/// Takes a datagram apart; `None` if it is none of ours.
#[must_use]
pub fn parse(bytes: &[u8]) -> Option<(Id, Datagram<'_>)> {
    if bytes.len() > MAX_DATAGRAM {
        return None;
    }
    let (&kind, rest) = bytes.split_first()?;
    let (&id, rest) = rest.split_first_chunk()?;
    let datagram = match kind {
        TYPE_SYN => (bytes.len() == SYN && rest.iter().all(|byte| *byte == 0)).then_some(Datagram::Syn)?,
        TYPE_SYN_ACK => Datagram::SynAck(rest.try_into().ok()?),
        TYPE_ACK => {
            let (&cookie, segments) = rest.split_first_chunk()?;
            Datagram::Ack(cookie, segments)
        }
        TYPE_RESET => Datagram::Reset(rest.try_into().ok()?),
        TYPE_DATA => {
            let (tagged, &tag) = bytes.split_last_chunk()?;
            let (&number, segments) = tagged.get(5..)?.split_first_chunk()?;
            Datagram::Data { number: u64::from_be_bytes(number), segments, tag, tagged }
        }
        TYPE_PATH => {
            let (tagged, &tag) = bytes.split_last_chunk()?;
            let (&number, question) = tagged.get(5..)?.split_first_chunk()?;
            Datagram::Path { number: u64::from_be_bytes(number), question: question.try_into().ok()?, tag, tagged }
        }
        _ => return None,
    };
    Some((id, datagram))
}

/// A client asks for a cookie.
#[must_use]
pub fn syn(id: Id) -> Vec<u8> {
    let mut bytes = head(TYPE_SYN, id);
    bytes.resize(SYN, 0);
    bytes
}

pub(super) fn syn_ack(id: Id, cookie: &Cookie) -> Vec<u8> {
    let mut bytes = head(TYPE_SYN_ACK, id);
    bytes.extend_from_slice(cookie);
    bytes
}

/// Segments, before there is a secret.
#[must_use]
pub fn ack(id: Id, cookie: &Cookie, segments: &[u8]) -> Vec<u8> {
    let mut bytes = head(TYPE_ACK, id);
    bytes.extend_from_slice(cookie);
    bytes.extend_from_slice(segments);
    bytes
}

/// Answers a datagram of a conversation that is not known, if it is long enough.
pub(super) fn reset(id: Id, answered: &[u8]) -> Option<Vec<u8>> {
    let last = answered.last_chunk::<TAG>().filter(|_| answered.len() >= MAY_BE_RESET)?;
    let mut bytes = head(TYPE_RESET, id);
    bytes.extend_from_slice(last);
    Some(bytes)
}

/// All of a DATA but its tag.
pub(super) fn untagged(id: Id, number: u64, segments: &[u8]) -> Vec<u8> {
    numbered(TYPE_DATA, id, number, segments)
}

/// All of a PATH but its tag.
pub(super) fn untagged_path(id: Id, number: u64, question: [u8; QUESTION]) -> Vec<u8> {
    numbered(TYPE_PATH, id, number, &question)
}

fn numbered(kind: u8, id: Id, number: u64, rest: &[u8]) -> Vec<u8> {
    let mut bytes = head(kind, id);
    bytes.extend_from_slice(&number.to_be_bytes());
    bytes.extend_from_slice(rest);
    bytes
}

fn head(kind: u8, id: Id) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MAX_DATAGRAM);
    bytes.push(kind);
    bytes.extend_from_slice(&id);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: Id = *b"talk";

    #[test]
    fn what_is_built_is_taken_apart_again() {
        let cookie = [7; TAG];
        assert_eq!(parse(&syn(ID)), Some((ID, Datagram::Syn)));
        assert_eq!(parse(&syn_ack(ID, &cookie)), Some((ID, Datagram::SynAck(cookie))));
        assert_eq!(parse(&ack(ID, &cookie, b"segments")), Some((ID, Datagram::Ack(cookie, b"segments"))));
        let reset = reset(ID, &[9; MAY_BE_RESET]).unwrap();
        assert_eq!(parse(&reset), Some((ID, Datagram::Reset([9; TAG]))));
        let mut data = untagged(ID, 3, b"segments");
        let tagged = data.clone();
        data.extend_from_slice(&[8; TAG]);
        let parsed = Datagram::Data { number: 3, segments: b"segments", tag: [8; TAG], tagged: &tagged };
        assert_eq!(parse(&data), Some((ID, parsed)));
        let tagged = untagged_path(ID, 3, *b"question");
        let parsed = Datagram::Path { number: 3, question: *b"question", tag: [8; TAG], tagged: &tagged };
        assert_eq!(parse(&[&tagged[..], &[8; TAG]].concat()), Some((ID, parsed)));
    }

    #[test]
    fn lengths_are_those_of_the_protocol() {
        assert_eq!(syn(ID).len(), 64);
        assert_eq!(syn_ack(ID, &[0; TAG]).len(), 21);
        assert_eq!(reset(ID, &[0; 1_200]).unwrap().len(), 21);
        assert_eq!(reset(ID, &[0; 21]), None, "nothing is answered with as much as it is");
        assert_eq!(untagged(ID, 1, b"").len() + TAG, 29);
        assert_eq!((untagged_path(ID, 1, [0; QUESTION]).len() + TAG, PATH), (37, 37));
    }

    #[test]
    fn anything_cut_off_too_long_or_of_another_kind_is_none() {
        for length in 0..29 {
            assert_eq!(parse(&vec![TYPE_DATA; length]), None, "{length}");
        }
        for length in (0..=MAX_DATAGRAM).filter(|length| *length != PATH) {
            assert_eq!(parse(&vec![TYPE_PATH; length]), None, "{length}");
        }
        assert_eq!(parse(&syn(ID)[..63]), None);
        assert_eq!(parse(&[syn(ID), vec![0]].concat()), None);
        assert_eq!(parse(&[&syn(ID)[..63], &[1]].concat()), None);
        assert_eq!(parse(&vec![TYPE_ACK; MAX_DATAGRAM + 1]), None);
        assert!(parse(&[TYPE_ACK; MAX_DATAGRAM]).is_some());
        for kind in 6..=255 {
            assert_eq!(parse(&[kind; 64]), None);
        }
    }
}
