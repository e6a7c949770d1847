//! PEM blocks in a text, as tools write them and editors, mail and shells leave them.

use base64ct::{Base64Unpadded, Encoding};
use zeroize::Zeroizing;

use super::{DamageError, KeyFileError, Secret};

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// Decodes a file's bytes as text: UTF-8, or UTF-16, as Windows PowerShell writes it.
///
/// Bytes that are neither are replaced if a PEM block stands among them: a name in Latin-1 may stand before a key.
pub(super) fn decode(content: &[u8]) -> Option<Zeroizing<String>> {
    let wide = |content: &[u8], units: fn([u8; 2]) -> u16| {
        let pairs = content.chunks_exact(2).map(|pair| units([pair[0], pair[1]]));
        let mut text = Zeroizing::new(String::with_capacity(content.len() * 3 / 2));
        text.extend(char::decode_utf16(pairs).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)));
        text
    };
    match content {
        [0xff, 0xfe, rest @ ..] => return Some(wide(rest, u16::from_le_bytes)),
        [0xfe, 0xff, rest @ ..] => return Some(wide(rest, u16::from_be_bytes)),
        // The same without the mark.
        [b'-', 0, ..] => return Some(wide(content, u16::from_le_bytes)),
        [0, b'-', ..] => return Some(wide(content, u16::from_be_bytes)),
        _ => {}
    }
    if let Ok(text) = str::from_utf8(content) {
        return Some(Zeroizing::new(text.trim_start_matches('\u{feff}').to_owned()));
    }
    let has_block = content.windows(BEGIN.len()).any(|window| window == BEGIN.as_bytes());
    has_block.then(|| {
        let mut text = Zeroizing::new(String::with_capacity(content.len() * 3));
        text.extend(content.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '\u{fffd}' }));
        text
    })
}

/// A PEM block, not decoded yet.
pub(super) struct Block<'a> {
    pub(super) label: &'a str,
    /// Text between the first and the last line.
    body: &'a str,
    /// The number of the first line, from 1.
    line: usize,
    end: End,
}

/// Last line of a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Same,
    Other,
    Missing,
}

/// Finds all blocks of a text. Text before, between and behind them is passed over.
pub(super) fn blocks(text: &str) -> Vec<Block<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(begin) = text[at..].find(BEGIN).map(|offset| at + offset) {
        let after = begin + BEGIN.len();
        let label_length = text[after..].find(['\r', '\n']).unwrap_or(text.len() - after);
        let Some(label) = text[after..after + label_length].find(DASHES).map(|length| &text[after..after + length])
        else {
            at = after;
            continue;
        };
        let body_start = after + label.len() + DASHES.len();
        let body_length = text[body_start..].find(DASHES).unwrap_or(text.len() - body_start);
        let body = &text[body_start..body_start + body_length];
        let tail = &text[body_start + body_length..];
        let end = match tail.strip_prefix(END) {
            Some(rest) if rest.strip_prefix(label).is_some_and(|rest| rest.starts_with(DASHES)) => End::Same,
            Some(_) => End::Other,
            None => End::Missing,
        };
        found.push(Block { label: label.trim(), body, line: text[..begin].matches('\n').count() + 1, end });
        at = body_start + body_length;
    }
    found
}

impl Block<'_> {
    /// The cipher of a block that is encrypted as RFC 1421 has it, such as `AES-128-CBC`.
    pub(super) fn old_encryption(&self) -> Option<&str> {
        let header = |name: &str| {
            self.body.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':')).map(str::trim)
        };
        header("Proc-Type").filter(|kind| kind.contains("ENCRYPTED"))?;
        let cipher = header("DEK-Info").unwrap_or_default();
        Some(cipher.split_once(',').map_or(cipher, |(name, _)| name).trim())
    }

    /// Decodes the block's base64, in lines of any length.
    pub(super) fn decode(&self) -> Result<Secret, KeyFileError> {
        match self.end {
            End::Same => {}
            End::Other => return Err(KeyFileError::Damaged(DamageError::OtherEnd)),
            End::Missing => return Err(KeyFileError::Damaged(DamageError::NoEnd)),
        }
        let mut base64 = Zeroizing::new(String::with_capacity(self.body.len()));
        for (number, line) in self.body.split('\n').enumerate() {
            // A header of RFC 1421, such as a comment: base64 has no colon.
            if line.contains(':') {
                continue;
            }
            // A line end that a variable or a configuration file spells as two characters.
            for part in line.split("\\n").flat_map(|part| part.split("\\r")) {
                for char in part.chars().filter(|char| !char.is_whitespace()) {
                    if !char.is_ascii_alphanumeric() && !"+/=".contains(char) {
                        return Err(KeyFileError::Damaged(DamageError::Character(self.line + number)));
                    }
                    base64.push(char);
                }
            }
        }
        decode_base64(&base64).ok_or(KeyFileError::Damaged(DamageError::Base64))
    }
}

/// Decodes base64 with or without its padding.
pub(super) fn decode_base64(text: &str) -> Option<Secret> {
    let bare = text.trim_end_matches('=');
    if text.len() - bare.len() > 2 {
        return None;
    }
    let mut bytes = Zeroizing::new(vec![0; bare.len()]);
    let length = Base64Unpadded::decode(bare, &mut bytes).ok()?.len();
    bytes.truncate(length);
    Some(bytes)
}
