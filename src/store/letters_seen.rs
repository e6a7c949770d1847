//! `letters_seen`: letters that have been read, so that none is read twice. PROTOCOL.md §7.

use std::collections::HashMap;
use std::path::Path;

use super::line_file::{Change, LineFile, LineFileError};
use crate::secure::e2e::offline_message::LetterId;
use crate::secure::identity::Fingerprint;

/// Time that a letter is remembered, in seconds: a day longer than its lifetime.
const REMEMBERED: u64 = 31 * 24 * 60 * 60;

/// A file of more bytes than this is rid of what is too old whenever there is any.
const LARGE: usize = 1_024 * 1_024;

/// The letters that have been read, and the file they are kept in, in the folder of the keys.
#[derive(Debug)]
pub struct LettersSeen {
    file: LineFile,
}

type SeenLetter = (Fingerprint, LetterId);

impl LettersSeen {
    /// The file in this folder; it need not be there.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self { file: LineFile::new(folder.join("letters_seen"), "SHA256:…(author) number seconds") }
    }

    /// Remembers a letter, durably. Gives whether it is the first time. `now` is in seconds since 1970.
    ///
    /// # Errors
    /// [`LineFileError`] if the file cannot be written, or not be understood.
    pub fn admit(&self, author: Fingerprint, id: LetterId, now: u64) -> Result<bool, LineFileError> {
        self.file.change(|text| {
            let seen: HashMap<SeenLetter, u64> =
                self.file.parse(text, parse).map(|parsed| parsed.map(|(_, line)| line)).collect::<Result<_, _>>()?;
            if seen.contains_key(&(author, id)) {
                return Ok((Change::Nothing, false));
            }
            let new = line((&(author, id), &now));
            let is_kept = |when: u64| when.saturating_add(REMEMBERED) >= now;
            // Now and then the file is rid of what is too old to come again.
            let old = seen.values().filter(|when| !is_kept(**when)).count();
            if old <= seen.len() / 2 && (old == 0 || text.len() < LARGE) {
                return Ok((Change::Append(new), true));
            }
            let kept: String = seen.iter().filter(|(_, when)| is_kept(**when)).map(line).collect();
            Ok((Change::Replace(kept + &new), true))
        })
    }
}

fn parse(line: &str) -> Option<(SeenLetter, u64)> {
    let mut words = line.split_whitespace();
    let (author, id, seen) = (words.next()?.parse().ok()?, words.next()?, words.next()?.parse().ok()?);
    let number = u128::from_str_radix(id, 16).ok().filter(|_| id.len() == 32)?;
    words.next().is_none().then_some(((author, number.to_be_bytes()), seen))
}

fn line(((author, id), seen): (&SeenLetter, &u64)) -> String {
    format!("{author} {:032x} {seen}\n", u128::from_be_bytes(*id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const AUTHOR: Fingerprint = Fingerprint([1; 32]);

    /// PROTOCOL.md 7.2-2.
    #[test]
    fn a_letter_is_admitted_once_and_forgotten_when_it_is_too_old_to_come_again() {
        let folder = tempfile::tempdir().unwrap();
        let admit = |id: u8, now| LettersSeen::in_folder(folder.path()).admit(AUTHOR, [id; 16], now).unwrap();
        assert_eq!([admit(1, 1_000), admit(1, 1_000), admit(1, 1_000 + REMEMBERED)], [true, false, false]);
        assert!(admit(2, 1_001 + REMEMBERED));
        let text = fs::read_to_string(folder.path().join("letters_seen")).unwrap();
        assert_eq!(text, format!("{AUTHOR} {} {}\n", "02".repeat(16), 1_001 + REMEMBERED), "the first is too old");
    }

    #[test]
    fn a_line_that_cannot_be_read_is_told_with_its_number() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("letters_seen"), format!("{AUTHOR} 00 1\n")).unwrap();
        let error = LettersSeen::in_folder(folder.path()).admit(AUTHOR, [1; 16], 1).unwrap_err();
        assert!(matches!(error, LineFileError::BadLine { line: 1, .. }), "{error}");
    }
}
