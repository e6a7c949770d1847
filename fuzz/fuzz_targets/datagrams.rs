//! Datagrams, from anybody: cut into their parts, and what a part would be sent as again.
#![no_main]

use cfb_chat::net::udp::datagram::{Datagram, ack, parse, syn};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((id, datagram)) = parse(bytes) else { return };
    match datagram {
        Datagram::Syn => assert_eq!(syn(id), bytes),
        Datagram::Ack(cookie, segments) => assert_eq!(ack(id, &cookie, segments), bytes),
        Datagram::SynAck(cookie) => assert_eq!(bytes.len(), 5 + cookie.len()),
        Datagram::Reset(echo) => assert_eq!(bytes.len(), 5 + echo.len()),
        Datagram::Data { segments, tag, tagged, .. } => {
            assert_eq!([tagged, &tag].concat(), bytes);
            assert!(tagged.ends_with(segments));
        }
        Datagram::Path { question, tag, tagged, .. } => {
            assert_eq!([tagged, &tag].concat(), bytes);
            assert!(tagged.ends_with(&question));
            assert_eq!(bytes.len(), 37);
        }
    }
});
