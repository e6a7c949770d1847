//! Notices about peers and about protection: a plain sentence for each case, and what to do.

mod rooms;

use std::path::Path;
use std::time::Duration;

pub use self::rooms::{
    PASSWORD_NOT_KNOWN, kicked, kicked_from, not_accepted_yet, not_back_in, not_done, not_known_to_be_done,
    not_let_into, password_not_set, rooms, tries_the_lobby, whisper_of_somebody_gone, you_are_in, you_have_left,
    you_speak_in,
};

use crate::chat::name::{Name, RoomName, Text};
use crate::secure::e2e::EndToEndError;
use crate::secure::e2e::offline_message::LetterError;
use crate::secure::e2e::safety_number::SafetyNumber;
use crate::secure::identity::Fingerprint;
use crate::store::line_file::LineFileError;

/// So many people are named when one comes in.
const NAMED: usize = 20;

/// A peer whose messages are hidden.
pub fn stranger(why: &str) -> String {
    format!("[!] A member's messages are hidden: {why}.")
}

/// A peer whose name looks like that of a present peer.
pub fn look_alike(name: &Name) -> String {
    format!("[!] {name} looks like another member's name. Messages from {name} are hidden.")
}

/// A peer whose name looks like that of a known user.
pub fn looks_known(name: &Name, other: &Name, file: &Path, line: usize) -> String {
    format!(
        "[!] {name} looks like {other}, a user you know. Messages from {name} are hidden.\n\
         \x20   If you no longer need {other}, remove line {line} of {}.",
        file.display()
    )
}

/// A peer whose key has changed.
pub fn changed_key(name: &Name, was: Fingerprint, is: Fingerprint, file: &Path, line: usize) -> String {
    format!(
        "[!] {name} HAS CHANGED KEYS. This may be an impostor.\n\
         \x20   the key was  {was}\n\
         \x20   the key is   {is}\n\
         \x20   Messages from {name} are hidden, and {name} cannot read yours. Ask {name} over another channel. If this is a\n\
         \x20   second device that shows the same fingerprint: /accept {name} adds its key to the old one. If {name} replaced\n\
         \x20   the old key, remove line {line} of {}, and join again.",
        file.display()
    )
}

/// Another key of a peer has been accepted.
pub fn accepted(name: &Name, fingerprint: Fingerprint, file: &Path) -> String {
    format!(
        "[+] Accepted: another key of {name}'s. Its fingerprint is\n    {fingerprint}\n    Kept in {}. To compare it: /verify {name}",
        file.display()
    )
}

/// People who are met for the first time.
pub fn first_contact(new: &[(Name, Fingerprint)], file: &Path) -> Option<String> {
    let file = file.display();
    match new {
        [] => None,
        [(name, fingerprint)] => Some(format!(
            "[!] First contact with {name}. Their fingerprint is\n    {fingerprint}\n    Kept in {file}. To compare it: /verify {name}"
        )),
        all => {
            let lines = all.iter().map(|(name, fingerprint)| format!("    {fingerprint} {name}"));
            let lines = lines.collect::<Vec<_>>().join("\n");
            Some(format!(
                "[!] First contact with {} people:\n{lines}\n    Kept in {file}. To compare: /verify NAME",
                all.len()
            ))
        }
    }
}

/// A new peer who could not be pinned.
pub fn not_kept(name: &Name, why: &str) -> String {
    format!(
        "[!] {name} is new, and could not be saved: {why}. Messages from {name} are hidden, and {name} cannot read yours."
    )
}

/// A letter that could not be remembered as read.
pub fn letter_not_kept(name: &Name, why: &LineFileError) -> String {
    format!("[!] A letter from {name} is not shown, as it could not be marked as read: {why}. It will come again.")
}

/// A peer in the list of members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Their name, or what stands for it.
    pub name: String,
    /// Trust level, in a word.
    pub mark: &'static str,
    /// Fingerprint, unless the peer's messages are hidden.
    pub fingerprint: Option<Fingerprint>,
    /// True if they have lost their connection, and may be back soon.
    pub away: bool,
}

/// Lists the members of a room.
pub fn list(room: &RoomName, peers: &[Listed]) -> String {
    let longest = peers.iter().map(|one| one.name.chars().count()).max().unwrap_or_default();
    let lines = peers.iter().map(|Listed { name, mark, fingerprint, away }| {
        let fingerprint = fingerprint.map_or("messages hidden".into(), |fingerprint| fingerprint.to_string());
        let away = if *away { "  (reconnecting)" } else { "" };
        format!("\n    {name:longest$}  {mark:8}  {fingerprint}{away}")
    });
    format!("[+] In {room}: {}{}", peers.len(), lines.collect::<Vec<_>>().concat())
}

/// Behind the list, while one is not there.
pub const LIST_IS_OLD: &str = "\n    You are reconnecting: these were the members when the connection was lost.";

/// The connection is lost.
pub fn lost(too_slow: bool) -> &'static str {
    if too_slow {
        "[!] The server dropped the connection: too many messages were waiting for you. Reconnecting …"
    } else {
        "[!] Connection lost. Reconnecting …"
    }
}

/// The connection is lost before one was in.
pub const CUT: &str = "[!] The connection ended during login. Trying again …";

/// An unexpected answer at the server's address.
pub fn odd(why: &str) -> String {
    format!("[!] Not back yet: {why}. Still trying …")
}

/// The server does not let one in now; its words follow.
pub const NOT_LET_IN: &str = "[!] Not back yet, still trying … The server refuses: ";

/// The session goes on.
pub fn back(after: Duration, caught_up: usize) -> String {
    let after = duration(after);
    match caught_up {
        0 => format!("[+] Back after {after}; nothing was missed."),
        1 => format!("[+] Back after {after}; 1 message caught up."),
        count => format!("[+] Back after {after}; {count} messages caught up."),
    }
}

/// The server could not go on with the session.
pub fn back_anew(after: Duration) -> String {
    format!(
        "[+] Back after {}, in a new session: messages sent meanwhile cannot be caught up. {MISSING}",
        duration(after)
    )
}

/// Too much had happened to go on with the session; so many events at most.
pub fn back_after_too_much(after: Duration, events: u64) -> String {
    let most = match events {
        0 => String::new(),
        1 => " (1 event at most)".into(),
        count => format!(" ({count} events at most)"),
    };
    format!("[+] Back after {}, in a new session: too many events to catch up{most}. {MISSING}", duration(after))
}

const MISSING: &str = "Missing messages are reported when their sender speaks again.";

/// A new credential has taken the place of the old one.
pub const RENEWED: &str = "[+] Credential renewed for a week.";

fn duration(time: Duration) -> String {
    match time.as_secs() {
        0 => "1 s".into(),
        seconds @ 1..120 => format!("{seconds} s"),
        seconds @ 120..7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}

/// One's own fingerprint, and the server's.
pub fn fingerprints(user: Fingerprint, server: Fingerprint) -> String {
    format!("[+] Your fingerprint:         {user}\n    The server's fingerprint: {server}")
}

/// The digits to compare with a peer.
pub fn digits(name: &Name, number: SafetyNumber) -> String {
    let digits = number.to_string();
    let (first, second) = digits.split_at(digits.len() / 2);
    format!(
        "[+] Compare with what /verify shows {name}, by voice or on paper:\n        {first}\n       {second}\n    \
         The same? Then: /verify {name} yes"
    )
}

/// The digits that were compared may be another key's.
pub fn digits_of_another(name: &Name) -> String {
    format!(
        "[!] {name} is not marked: {name} has more than one key. Compare the digits that /verify {name} shows now, then confirm."
    )
}

/// A peer is marked as verified.
pub fn verified(name: &Name) -> String {
    format!("[+] {name} is verified.")
}

/// A peer could not be marked.
pub fn no_such_line(name: &Name, file: &Path) -> String {
    format!("[!] {name} is not marked: {} has no such line.", file.display())
}

/// Lists the members of a room that the user has joined.
pub fn here(room: &RoomName, peers: &[Listed]) -> Option<String> {
    let others: Vec<&str> = peers.iter().filter(|one| one.mark != "you").map(|one| one.name.as_str()).collect();
    match others[..] {
        [] => None,
        [.., _] if others.len() <= NAMED => Some(format!("[!] In {room}: {}.", others.join(", "))),
        _ => Some(format!("[!] In {room}: {} others. /list shows who.", others.len())),
    }
}

/// A peer who cannot read the local user's messages.
pub fn not_verified(name: &Name) -> String {
    format!("[!] {name} is not verified, and cannot read what you say (--verified-only). To compare: /verify {name}")
}

/// A message was sent to a room without a reader.
pub fn unread(room: &RoomName) -> String {
    format!("[!] No member of {room} could read that, and it is not kept for later ones.")
}

/// A peer's message is not shown.
pub fn said_refused(name: &Name, why: EndToEndError) -> String {
    match why {
        EndToEndError::Signature => format!(
            "[!] REFUSED: a message in {name}'s name with an invalid signature. It was changed, or \
             the server shows {name} another list of members."
        ),
        EndToEndError::Replayed => format!("[!] Dropped: a repeated message from {name}."),
        EndToEndError::NoKey => format!(
            "[!] A message from {name} could not be opened: {name} has not shared the key. Perhaps {name} does not trust yours \
             (--verified-only, or a changed key): ask over another channel."
        ),
        why => format!("[!] A message from {name} could not be opened: {why}."),
    }
}

/// A peer's message was sealed for a roster that is too old, or unknown.
pub fn said_for_another_roster(name: &Name) -> String {
    format!(
        "[!] REFUSED: a message from {name} for an outdated or unknown list of members. The server may have held it back."
    )
}

/// A message of a session that is not in the room.
pub fn said_from_outside(name: &str) -> String {
    format!("[!] REFUSED: a message from {name}, who is not in the room.")
}

/// A box that a peer sent to this client is not shown.
pub fn box_refused(what: &str, name: &Name, why: EndToEndError) -> String {
    match why {
        EndToEndError::Signature => format!("[!] REFUSED: {what} in {name}'s name with an invalid signature."),
        EndToEndError::Replayed => format!("[!] Dropped: {what} from {name}, a repeated one."),
        why => format!("[!] {}{} from {name} could not be opened: {why}.", what[..1].to_uppercase(), &what[1..]),
    }
}

/// An opened text that cannot be shown.
pub fn unreadable(what: &str, name: &Name) -> String {
    format!("[!] {what} from {name} cannot be shown: it is empty, too long, or not text.")
}

/// Messages that should have come before this one.
pub fn gap(count: u64, name: &Name) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("[!] 1 message from {name} is missing.")),
        count => Some(format!("[!] {count} messages from {name} are missing.")),
    }
}

/// Texts that a missing key would have opened.
pub fn unknown_gap(name: &Name) -> String {
    format!("[!] An unknown number of messages from {name} may be missing: {name}'s first key never came.")
}

/// More letters than are taken.
pub fn too_many_letters(name: &Name) -> String {
    format!("[!] A letter from {name} is not shown: too many letters from {name} in this session.")
}

/// Boxes that should have come before this one.
pub fn box_gap(count: u64, name: &Name) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("[!] 1 private message (or key) from {name} is missing.")),
        count => Some(format!("[!] {count} private messages (or keys) from {name} are missing.")),
    }
}

/// A letter that is not shown.
pub fn letter_refused(why: LetterError) -> String {
    format!("[!] A letter was refused: {why}.")
}

/// A letter of a user whose key has changed.
pub fn letter_from_changed(name: &Name, was: Fingerprint, is: Fingerprint, file: &Path, line: usize) -> String {
    format!(
        "[!] REFUSED: a letter in {name}'s name, signed with another key.\n\
         \x20   the key was  {was}\n\
         \x20   the key is   {is}\n\
         \x20   Ask {name} over another channel. If {name} has a new key, remove line {line} of {}, and ask for the letter again.",
        file.display()
    )
}

/// A letter of a user whose name looks like another user's.
pub fn letter_from_look_alike(name: &Name) -> String {
    format!("[!] REFUSED: a letter from {name}, a name that looks like another user's.")
}

/// A letter that has been read already.
pub fn letter_again(name: &Name) -> String {
    format!("[!] Dropped: a repeated letter from {name}.")
}

/// The server presents another key for a user than the known one.
pub fn false_key(name: &Name, known: &[Fingerprint], text: &Text) -> String {
    let what = if known.len() == 1 { "the one" } else { "those" };
    let known = known.iter().map(|known| format!("\n    {known}")).collect::<Vec<_>>().concat();
    format!(
        "[!] REFUSED: the server hands out another key for {name} than {what} you know{known}\n    Not sent: {text}"
    )
}

/// A whisper whose delivery is unknown.
pub fn not_known(to: &Name, text: &Text) -> String {
    format!("[!] Delivery unknown, to {to} alone: {text}")
}

/// A message whose delivery is unknown; with its room, if there are several.
pub fn not_known_in(room: Option<&RoomName>, text: &Text) -> String {
    let room = room.map_or_else(String::new, |room| format!(", in {room}"));
    format!("[!] Delivery unknown{room}: {text}")
}

/// A message that was not delivered; with its room, if there are several.
pub fn not_delivered(why: &str, room: Option<&RoomName>, text: &Text) -> String {
    let room = room.map_or_else(String::new, |room| format!(", in {room}"));
    format!("[!] Not delivered{room} ({why}): {text}")
}
