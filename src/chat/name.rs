//! Names and texts: parsed once, bounded, safe to print. PROTOCOL.md §6, §9.
//!
//! Text from a peer reaches a screen or a log as one of these types only.

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::sync::Arc;

use precis_core::DerivedPropertyValue;
use precis_core::profile::Profile;
use precis_profiles::UsernameCasePreserved;
use unicode_normalization::UnicodeNormalization;
use unicode_security::confusable_detection::skeleton;

use crate::wire::address::is_address;

/// The longest name, in characters; a room's `#` not counted.
pub const MAX_NAME: usize = 32;
/// The longest text, in bytes.
pub const MAX_TEXT: usize = 4_096;

/// Why a name is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty.
    #[error("a name has at least one character")]
    Empty,
    /// Over [`MAX_NAME`] characters.
    #[error("a name has at most {MAX_NAME} characters")]
    TooLong,
    /// Spaces, control or direction characters, or others that RFC 8265 keeps out of names.
    #[error("a name has letters, digits and signs only: no spaces, no control or invisible characters")]
    Characters,
    /// A character that the tables of names do not know yet.
    #[error("a name has no characters newer than Unicode 6.3 (2013)")]
    Newer,
    /// Right-to-left letters beside others, or digits in front of them.
    #[error("a name does not mix writing from right to left with other letters, or begin with such digits (RFC 5893)")]
    Direction,
    /// It is spelt in a way that RFC 8265 would change.
    #[error("a name is spelt in its normal form")]
    NotNormal,
    /// It begins with a sign.
    #[error("a name begins with a letter, a digit or _")]
    Beginning,
    /// It could be taken for an address.
    #[error("a name is no IP address")]
    Address,
    /// A room's name without `#`.
    #[error("a room's name begins with #")]
    NoRoom,
}

/// A user's name, PRECIS UsernameCasePreserved (RFC 8265).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// Takes a name as it stands; what a peer sends must be in its normal form already.
    ///
    /// ```
    /// use cfb_chat::chat::name::Name;
    ///
    /// assert_eq!(Name::parse("Ira")?.as_str(), "Ira");
    /// assert!(Name::parse("two words").is_err());
    /// # Ok::<(), cfb_chat::chat::name::NameError>(())
    /// ```
    ///
    /// # Errors
    /// [`NameError`] says which rule it breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check_normal(text)?;
        Ok(Self(text.into()))
    }

    /// Takes a name as a person typed it, and brings it into its normal form.
    ///
    /// # Errors
    /// [`NameError`] says which rule it breaks.
    pub fn normalize(text: &str) -> Result<Self, NameError> {
        Ok(Self(normal(text)?.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Skeletons of a name (UTS 39 §4), equal for names that look alike: that of the name as it stands, by which `Ira`
    /// is `lra`; of its lower case, by which `Ira` is `ira`; and of its upper case, by which `b0b` is `bob`: a skeleton
    /// is not the same in another case.
    #[must_use]
    pub fn skeletons(&self) -> [String; 3] {
        let of = |text: &str| skeleton(text).collect();
        [of(&self.0), of(&self.0.to_lowercase()), of(&self.0.to_uppercase())]
    }

    /// True if people could take one for the other.
    #[must_use]
    pub fn looks_like(&self, other: &Self) -> bool {
        let others = other.skeletons();
        self.skeletons().iter().any(|skeleton| others.contains(skeleton))
    }
}

/// The normal form of what could be a name.
fn normal(text: &str) -> Result<Cow<'_, str>, NameError> {
    if text.is_empty() {
        return Err(NameError::Empty);
    }
    // Before the tables are asked, which take time by length.
    if text.chars().nth(MAX_NAME).is_some() {
        return Err(NameError::TooLong);
    }
    // Most names are plain, and a room's is read with every message.
    let normal = if is_plain(text) { text.into() } else { by_the_tables(text)? };
    // `#lab` is a room, `/w` a command, `[+]` a line of the server's.
    if normal.chars().next().is_some_and(|first| !first.is_alphanumeric() && first != '_') {
        return Err(NameError::Beginning);
    }
    if is_address(&normal) {
        return Err(NameError::Address);
    }
    match normal.chars().count() {
        0 => Err(NameError::Empty),
        1..=MAX_NAME => Ok(normal),
        _ => Err(NameError::TooLong),
    }
}

/// Checks that a text is a name in its normal form.
fn check_normal(text: &str) -> Result<(), NameError> {
    if normal(text)? == text { Ok(()) } else { Err(NameError::NotNormal) }
}

/// True if the tables would not change it: they take printable ASCII as it is (RFC 8264 §9.11).
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The normal form by the tables of RFC 8265.
fn by_the_tables(text: &str) -> Result<Cow<'_, str>, NameError> {
    let enforce = |text: &str| UsernameCasePreserved::new().enforce(text.to_owned()).map_err(|why| reason(&why));
    // Some keyboards and copied file names give letters in parts, which the tables refuse one by one.
    let composed: String = text.nfc().collect();
    let normal = enforce(&composed)?.into_owned();
    // What is composed in the normal form, as ≠ is, may be what no name has.
    if enforce(&normal)? == *normal { Ok(normal.into()) } else { Err(NameError::Characters) }
}

fn reason(why: &precis_core::Error) -> NameError {
    match why {
        precis_core::Error::BadCodepoint(found) if found.property == DerivedPropertyValue::Unassigned => {
            NameError::Newer
        }
        precis_core::Error::Invalid => NameError::Direction,
        precis_core::Error::BadCodepoint(_) | precis_core::Error::Unexpected(_) => NameError::Characters,
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A room's name: `#` and what could be a user's name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomName(Arc<str>);

impl RoomName {
    /// The room that all members start in.
    #[must_use]
    pub fn lobby() -> Self {
        Self("#lobby".into())
    }

    /// Takes a room's name as it stands, with its `#`.
    ///
    /// ```
    /// use cfb_chat::chat::name::RoomName;
    ///
    /// assert_eq!(RoomName::parse("#lab")?.as_str(), "#lab");
    /// assert!(RoomName::parse("lab").is_err());
    /// # Ok::<(), cfb_chat::chat::name::NameError>(())
    /// ```
    ///
    /// # Errors
    /// [`NameError`] says which rule it breaks.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        check_normal(text.strip_prefix('#').ok_or(NameError::NoRoom)?)?;
        Ok(Self(text.into()))
    }

    /// The name, with its `#`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text is empty, or longer than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Empty.
    #[error("it is empty")]
    Empty,
    /// Longer than the bound.
    #[error("{length} bytes are more than the {limit} that a message may have")]
    TooLong {
        /// Its length, in bytes.
        length: usize,
        /// Limit, in bytes.
        limit: usize,
    },
    /// Not UTF-8.
    #[error("it is not text")]
    NotUtf8,
}

/// A text that a user wrote. Shown only through [`fmt::Display`], which makes control and direction characters visible.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Text(Arc<str>);

impl Text {
    /// Takes 1 to `limit` bytes.
    ///
    /// # Errors
    /// [`TextError`] for other input; no text is cut.
    pub fn parse(text: &str, limit: usize) -> Result<Self, TextError> {
        match text.len() {
            0 => Err(TextError::Empty),
            length if length > limit => Err(TextError::TooLong { length, limit }),
            _ => Ok(Self(text.into())),
        }
    }

    /// Takes 1 to [`MAX_TEXT`] bytes of UTF-8.
    ///
    /// # Errors
    /// [`TextError`] for other input.
    pub fn from_utf8(bytes: &[u8]) -> Result<Self, TextError> {
        Self::parse(std::str::from_utf8(bytes).map_err(|_| TextError::NotUtf8)?, MAX_TEXT)
    }

    /// The text as it was written: for sealing and comparing, never for a screen.
    #[must_use]
    pub fn as_written(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Visible(&self.0).fmt(f)
    }
}

/// Shows any text with what would act on a screen made visible: ESC is shown as `<U+001B>`.
#[derive(Clone, Copy, Debug)]
pub struct Visible<'a>(pub &'a str);

impl fmt::Display for Visible<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            if acts_on_screens(char) {
                write!(f, "<U+{:04X}>", u32::from(char))?;
            } else {
                f.write_char(char)?;
            }
        }
        Ok(())
    }
}

/// C0, DEL, C1; direction marks, embeddings, overrides and isolates; line separators; what is invisible by design.
/// The two joiners stay: emoji and several scripts are written with them.
fn acts_on_screens(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_letters_digits_and_signs_of_any_script() {
        for name in
            ["sahnawaz", "Ira", "x", "jean-luc.2", "_ira", "7of9", "Zoë", "Ирина", "李雷", "مريم", &"a".repeat(32)]
        {
            assert_eq!(Name::parse(name).map(|name| name.to_string()).as_deref(), Ok(name));
        }
    }

    #[test]
    fn names_that_could_deceive_or_act_are_refused() {
        let refused = [
            ("", NameError::Empty),
            (&"a".repeat(33) as &str, NameError::TooLong),
            ("two words", NameError::Characters),
            ("tab\t", NameError::Characters),
            ("line\n", NameError::Characters),
            ("\u{1b}[31mred", NameError::Characters),
            ("c1\u{9b}31m", NameError::Characters),
            ("\u{202e}evil", NameError::Characters),
            ("ze\u{200b}ro", NameError::Characters),
            ("ni\0l", NameError::Characters),
            ("😀", NameError::Characters),
            ("Zoe\u{308}", NameError::NotNormal),
            ("ＩＲＡ", NameError::NotNormal),
            ("a=\u{338}", NameError::Characters),
            ("#lab", NameError::Beginning),
            ("/w", NameError::Beginning),
            ("[+]", NameError::Beginning),
            ("-x", NameError::Beginning),
            ("192.0.2.1", NameError::Address),
            ("127.0.0.01", NameError::Address),
            ("2130706433", NameError::Address),
            ("0x7f.1", NameError::Address),
            ("fe80::1%eth0", NameError::Address),
            ("2001:db8::1", NameError::Address),
        ];
        for (name, why) in refused {
            assert_eq!(Name::parse(name), Err(why), "{name:?}");
        }
        assert_eq!(Name::normalize("Zoe\u{308}").unwrap().as_str(), "Zoë");
    }

    /// PROTOCOL.md 13-1: a Georgian letter, and its capital, which Unicode 6.3.0 does not have.
    #[test]
    fn names_have_the_characters_of_unicode_6_3() {
        assert!(Name::parse("\u{10d0}").is_ok());
        assert_eq!(Name::parse("\u{1c90}"), Err(NameError::Newer));
    }

    #[test]
    fn a_typed_name_is_composed_and_a_refused_one_told_its_reason() {
        assert_eq!(Name::normalize("\u{1100}\u{1175}\u{11b7}").unwrap().as_str(), "김");
        let why = |text| Name::normalize(text).unwrap_err();
        for newer in ["\u{1c90}", "\u{1e900}", "\u{2b820}"] {
            assert_eq!(why(newer), NameError::Newer, "{newer}");
        }
        for mixed in ["\u{0663}\u{0664}", "1\u{05d0}"] {
            assert_eq!(why(mixed), NameError::Direction, "{mixed}");
        }
        assert_eq!(why("a b"), NameError::Characters);
    }

    /// PROTOCOL.md 6.7-3.
    #[test]
    fn names_that_look_alike_are_found() {
        let name = |text| Name::parse(text).unwrap();
        let pairs = [
            ("Ira", "ira"),
            ("Ira", "lra"),
            ("alice", "аlice"),
            ("paul", "раul"),
            ("Bob", "bοb"),
            ("modern", "rnodern"),
            ("Ira", "Іra"),
            ("John", "J0hn"),
            ("bob", "b0b"),
            ("οδος", "οδοσ"),
        ];
        for (one, other) in pairs {
            assert!(name(one).looks_like(&name(other)), "{one} {other}");
        }
        assert!(!name("Ira").looks_like(&name("Iran")));
    }

    #[test]
    fn rooms_have_a_number_sign_and_a_name() {
        assert_eq!(RoomName::parse("#lobby"), Ok(RoomName::lobby()));
        for (room, why) in [("lobby", NameError::NoRoom), ("#", NameError::Empty), ("#a b", NameError::Characters)] {
            assert_eq!(RoomName::parse(room), Err(why));
        }
    }

    #[test]
    fn a_text_shows_what_would_act_on_a_screen() {
        let shown = [
            ("Hi", "Hi"),
            ("\u{1b}[2J\u{1b}]0;pwn\u{7}", "<U+001B>[2J<U+001B>]0;pwn<U+0007>"),
            ("\u{9b}31m", "<U+009B>31m"),
            ("a\r\nb\u{7f}", "a<U+000D><U+000A>b<U+007F>"),
            ("\u{202e}olleh\u{2066}", "<U+202E>olleh<U+2066>"),
            ("\u{feff}\u{200b}\u{2028}", "<U+FEFF><U+200B><U+2028>"),
            ("👩\u{200d}🔬 नमस्ते", "👩\u{200d}🔬 नमस्ते"),
        ];
        for (written, expected) in shown {
            let text = Text::parse(written, MAX_TEXT).unwrap();
            assert_eq!(text.to_string(), expected);
            assert_eq!(text.as_written(), written);
        }
    }

    #[test]
    fn a_text_is_refused_rather_than_cut() {
        assert_eq!(Text::parse("", 10), Err(TextError::Empty));
        assert_eq!(Text::parse("eleven char", 10), Err(TextError::TooLong { length: 11, limit: 10 }));
        assert_eq!(Text::from_utf8(&[0xff]), Err(TextError::NotUtf8));
    }

    proptest::proptest! {
        #[test]
        fn what_is_plain_is_what_the_tables_change_nothing_of(text in "[ -~]{1,32}|\\PC{1,8}") {
            if is_plain(&text) {
                proptest::prop_assert_eq!(by_the_tables(&text), Ok(Cow::from(&text)));
            } else if text.is_ascii() {
                proptest::prop_assert_eq!(by_the_tables(&text), Err(NameError::Characters));
            }
        }

        #[test]
        fn nothing_that_is_shown_acts_on_a_screen(text in "\\PC{0,40}|.{1,40}") {
            proptest::prop_assert!(!Visible(&text).to_string().chars().any(acts_on_screens));
        }
    }
}
