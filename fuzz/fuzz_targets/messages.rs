//! Frames in pieces, then messages of both directions. What decodes has the one encoding that it came in.
#![no_main]

use cfb_chat::chat::message::{Numbered, ToClient, ToServer};
use cfb_chat::wire::codec::Reader;
use cfb_chat::wire::frame::{Deframer, MAX_FRAME};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut deframer = Deframer::new(MAX_FRAME);
    for piece in bytes.chunks(7) {
        deframer.feed(piece);
        while let Ok(Some(_)) = deframer.next_frame() {}
    }
    let _ = Reader::new(bytes).value();
    if let Ok(messages) = ToServer::parse_all(bytes) {
        let readable = |message: &ToServer| !matches!(message, ToServer::Malformed | ToServer::Unsupported | ToServer::Numbered { body: Numbered::Malformed, .. });
        for message in messages.iter().filter(|message| readable(message)) {
            assert_eq!(ToServer::parse_all(&message.encode()).as_deref(), Ok(std::slice::from_ref(message)));
        }
    }
    if let Ok(messages) = ToClient::parse_all(bytes) {
        for message in messages {
            if let ToClient::Welcome(_) | ToClient::Person(_) | ToClient::Error { .. } = message {
                assert_eq!(ToClient::parse_all(&message.encode()), Ok(vec![message]));
            }
        }
    }
});
