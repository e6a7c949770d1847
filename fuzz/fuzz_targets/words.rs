//! Names, texts and commands, as peers and people spell them.
#![no_main]

use cfb_chat::chat::command::UserCommand;
use cfb_chat::chat::command::server::Command;
use cfb_chat::chat::name::{Name, RoomName, Text, Visible};
use cfb_chat::secure::identity::Fingerprint;
use libfuzzer_sys::fuzz_target;

fn is_safe(shown: &str) -> bool {
    !shown.chars().any(|c| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}'))
}

fuzz_target!(|text: &str| {
    if let Ok(name) = Name::parse(text) {
        assert!(is_safe(name.as_str()));
        assert!(name.looks_like(&name));
    }
    if let Ok(name) = Name::normalize(text) {
        assert_eq!(Name::parse(name.as_str()).as_ref(), Ok(&name), "a normal form is its own");
    }
    let _ = RoomName::parse(text);
    if let Ok(text) = Text::parse(text, 4_096) {
        assert!(is_safe(&text.to_string()));
    }
    assert!(is_safe(&Visible(text).to_string()));
    match Command::parse(text) {
        None => {}
        // As the log tells it; what it is about was safe, or is made visible.
        Some(Ok(command)) => assert!(is_safe(&command.to_string())),
        Some(Err(hint)) => assert!(is_safe(&hint)),
    }
    if let Some(Err(hint)) = UserCommand::parse(text) {
        assert!(is_safe(&hint));
    }
    if let Ok(fingerprint) = text.parse::<Fingerprint>() {
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
    }
});
