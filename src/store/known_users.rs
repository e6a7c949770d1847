//! `known_users`: which fingerprint each user of each server had when first met, and which the user has accepted beside
//! it since. PROTOCOL.md §7 "Who is who".
//!
//! A name may have several lines: all of them are that person, on one device or another.

use std::collections::HashMap;
use std::path::Path;

use super::line_file::{Change, LineFile, LineFileError};
use crate::chat::name::Name;
use crate::secure::identity::Fingerprint;

/// So many users of one server are kept: a server that invents people is not to fill what others need.
const MAX_USERS: usize = 10_000;

/// Pins of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinStatus {
    /// Empty.
    New,
    /// They are who they were; and whether the user has compared fingerprints.
    Known {
        /// True if the user has compared fingerprints.
        verified: bool,
    },
    /// They have another key than any that they had.
    Changed {
        /// The pinned fingerprint, of the first meeting.
        known: Fingerprint,
        /// The line that says so, from 1.
        line: usize,
    },
    /// Another user has a name that looks like theirs.
    LooksLike {
        /// User.
        name: Name,
        /// The line that says so, from 1.
        line: usize,
    },
}

/// A key of a known user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownKey {
    /// Fingerprint.
    pub fingerprint: Fingerprint,
    /// True if the user has compared fingerprints.
    pub verified: bool,
    line: usize,
}

/// The users of one server, and the file they are kept in, in the folder of the keys.
#[derive(Debug)]
pub struct KnownUsers {
    file: LineFile,
    server: Fingerprint,
    /// The keys of each; there is one at least.
    known: HashMap<Name, Vec<KnownKey>>,
    keys: usize,
    looks: HashMap<String, Vec<Name>>,
    /// The file as it was when it was last looked at.
    seen: String,
}

/// A line of the file.
struct Line {
    server: Fingerprint,
    name: Name,
    fingerprint: Fingerprint,
    verified: bool,
}

impl Line {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (server, name, fingerprint) = (words.next()?, words.next()?, words.next()?);
        let verified = match words.next() {
            None => false,
            Some("verified") => true,
            Some(_) => return None,
        };
        let (server, fingerprint) = (server.parse().ok()?, fingerprint.parse().ok()?);
        let line = Self { server, name: Name::parse(name).ok()?, fingerprint, verified };
        words.next().is_none().then_some(line)
    }
}

impl KnownUsers {
    /// Reads the file in this folder; it need not be there.
    ///
    /// # Errors
    /// [`LineFileError`] if it cannot be read, or not be understood.
    pub fn open(folder: &Path, server: Fingerprint) -> Result<Self, LineFileError> {
        let file = LineFile::new(folder.join("known_users"), "SHA256:…(server) name SHA256:… [verified]");
        let text = file.read()?;
        let mut users =
            Self { file, server, known: HashMap::new(), keys: 0, looks: HashMap::new(), seen: String::new() };
        users.take_in(&text)?;
        Ok(users)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Returns the status of this name and key.
    #[must_use]
    pub fn judge(&self, name: &Name, fingerprint: Fingerprint) -> PinStatus {
        if let Some([first, ..]) = self.known.get(name).map(Vec::as_slice) {
            return match self.key(name, fingerprint) {
                Some(KnownKey { verified, .. }) => PinStatus::Known { verified },
                None => PinStatus::Changed { known: first.fingerprint, line: first.line },
            };
        }
        let alike = name.skeletons().into_iter().filter_map(|look| self.looks.get(&look)).flatten();
        let mut others = alike.filter(|other| self.key(other, fingerprint).is_none());
        let first = others.find_map(|other| Some((other, self.known.get(other)?.first()?)));
        first.map_or(PinStatus::New, |(other, key)| PinStatus::LooksLike { name: other.clone(), line: key.line })
    }

    /// Returns the user known by this name, or by one that looks like it: with their keys, the first met first.
    #[must_use]
    pub fn find(&self, name: &Name) -> Option<(&Name, &[KnownKey])> {
        let alike = || name.skeletons().into_iter().find_map(|look| self.looks.get(&look)?.first());
        let found = self.known.get_key_value(name);
        found.or_else(|| self.known.get_key_value(alike()?)).map(|(name, keys)| (name, keys.as_slice()))
    }

    fn key(&self, name: &Name, fingerprint: Fingerprint) -> Option<KnownKey> {
        self.known.get(name)?.iter().find(|key| key.fingerprint == fingerprint).copied()
    }

    /// Pins new users, durably. A pin that another process made meanwhile counts from now on.
    ///
    /// # Errors
    /// [`LineFileError`] if the file cannot be written, or not be understood.
    pub fn keep(&mut self, new: &[(Name, Fingerprint)]) -> Result<(), LineFileError> {
        let file = self.file.clone();
        let added = file.change(|text| {
            if text != self.seen {
                self.take_in(text)?;
            }
            self.check_room_for(new.len())?;
            let unknown = new.iter().filter(|(name, fingerprint)| self.judge(name, *fingerprint) == PinStatus::New);
            let line = |(name, fingerprint): &(Name, Fingerprint)| format!("{} {name} {fingerprint}\n", self.server);
            let lines = unknown.map(line).collect::<Vec<_>>().concat();
            let text = format!("{text}{}{lines}", if text.is_empty() || text.ends_with('\n') { "" } else { "\n" });
            Ok((if lines.is_empty() { Change::Nothing } else { Change::Append(lines) }, text))
        })?;
        self.take_in_from(&added)
    }

    /// Pins another key of a user known by exactly this name, durably. Returns true if it is one of theirs now.
    ///
    /// # Errors
    /// [`LineFileError`] if the file cannot be written, or not be understood.
    pub fn accept(&mut self, name: &Name, fingerprint: Fingerprint) -> Result<bool, LineFileError> {
        let file = self.file.clone();
        let text = file.change(|text| {
            self.take_in(text)?;
            if !matches!(self.judge(name, fingerprint), PinStatus::Changed { .. }) {
                return Ok((Change::Nothing, text.to_owned()));
            }
            self.check_room_for(1)?;
            let line = format!("{} {name} {fingerprint}\n", self.server);
            let start = if text.ends_with('\n') { "" } else { "\n" };
            Ok((Change::Append(line.clone()), format!("{text}{start}{line}")))
        })?;
        self.take_in(&text)?;
        Ok(self.key(name, fingerprint).is_some())
    }

    fn check_room_for(&self, new: usize) -> Result<(), LineFileError> {
        if self.keys + new > MAX_USERS { Err(self.file.full("10,000 users of this server")) } else { Ok(()) }
    }

    /// Marks a user as verified, durably. Returns true if the user is known.
    ///
    /// # Errors
    /// [`LineFileError`] if the file cannot be written, or not be understood.
    pub fn verify(&mut self, name: &Name, fingerprint: Fingerprint) -> Result<bool, LineFileError> {
        let file = self.file.clone();
        let text = file.change(|text| {
            self.take_in(text)?;
            let Some(KnownKey { line, verified: false, .. }) = self.key(name, fingerprint) else {
                return Ok((Change::Nothing, text.to_owned()));
            };
            let mark =
                |(index, text): (usize, &str)| format!("{text}{}\n", if index + 1 == line { " verified" } else { "" });
            let marked = text.lines().enumerate().map(mark).collect::<Vec<_>>().concat();
            Ok((Change::Replace(marked.clone()), marked))
        })?;
        self.take_in(&text)?;
        Ok(matches!(self.judge(name, fingerprint), PinStatus::Known { verified: true }))
    }

    /// Takes the file's text in, all of it.
    fn take_in(&mut self, text: &str) -> Result<(), LineFileError> {
        (self.known, self.keys, self.looks, self.seen) = (HashMap::new(), 0, HashMap::new(), String::new());
        self.take_in_from(text)
    }

    /// Takes in what has been added to the text since it was last looked at.
    fn take_in_from(&mut self, text: &str) -> Result<(), LineFileError> {
        let (lines, file) = (self.seen.lines().count(), self.file.clone());
        let added = &text[self.seen.len()..];
        // The end of what was the last line is none of its own.
        let added = if self.seen.is_empty() || self.seen.ends_with('\n') {
            added
        } else {
            added.strip_prefix('\n').unwrap_or(added)
        };
        for parsed in file.parse(added, Line::parse) {
            let (line, parsed) = parsed?;
            let Line { server, name, fingerprint, verified } = parsed;
            if server != self.server || self.key(&name, fingerprint).is_some() {
                continue;
            }
            if !self.known.contains_key(&name) {
                for look in name.skeletons() {
                    self.looks.entry(look).or_default().push(name.clone());
                }
            }
            self.known.entry(name).or_default().push(KnownKey { fingerprint, verified, line: lines + line });
            self.keys += 1;
        }
        text.clone_into(&mut self.seen);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const SERVER: Fingerprint = Fingerprint([1; 32]);
    const KEY: Fingerprint = Fingerprint([2; 32]);
    const OTHER: Fingerprint = Fingerprint([3; 32]);

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn who_is_new_is_kept_for_this_server_and_known_from_then_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut users = KnownUsers::open(folder.path(), SERVER).unwrap();
        assert_eq!(users.judge(&name("Ira"), KEY), PinStatus::New);
        users.keep(&[(name("Ira"), KEY), (name("Zoe"), OTHER)]).unwrap();
        let again = KnownUsers::open(folder.path(), SERVER).unwrap();
        for users in [&users, &again] {
            assert_eq!(users.judge(&name("Ira"), KEY), PinStatus::Known { verified: false });
            assert_eq!(users.judge(&name("Zoe"), KEY), PinStatus::Changed { known: OTHER, line: 2 });
            assert_eq!(users.judge(&name("lra"), OTHER), PinStatus::LooksLike { name: name("Ira"), line: 1 });
            assert_eq!(users.judge(&name("ira"), KEY), PinStatus::New, "the same person, by another name");
            assert_eq!(users.find(&name("ira")).map(|(name, _)| name.as_str()), Some("Ira"));
        }
        let elsewhere = KnownUsers::open(folder.path(), OTHER).unwrap();
        assert_eq!(elsewhere.judge(&name("Ira"), OTHER), PinStatus::New, "another server's Ira is another");
    }

    #[test]
    fn what_another_process_has_kept_meanwhile_counts() {
        let folder = tempfile::tempdir().unwrap();
        let [mut one, mut other] = [(); 2].map(|()| KnownUsers::open(folder.path(), SERVER).unwrap());
        one.keep(&[(name("Ira"), KEY)]).unwrap();
        other.keep(&[(name("Ira"), OTHER), (name("Zoe"), OTHER)]).unwrap();
        assert_eq!(other.judge(&name("Ira"), OTHER), PinStatus::Changed { known: KEY, line: 1 });
        assert_eq!(other.judge(&name("Zoe"), OTHER), PinStatus::Known { verified: false });
        assert_eq!(fs::read_to_string(one.path()).unwrap().lines().count(), 2);
    }

    #[test]
    fn a_mark_is_written_into_the_line_and_the_rest_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_users");
        fs::write(&path, format!("# mine\n\n{SERVER} Zoe {OTHER} verified\n{SERVER} Ira {KEY}")).unwrap();
        let mut users = KnownUsers::open(folder.path(), SERVER).unwrap();
        assert!(!users.verify(&name("Ira"), OTHER).unwrap(), "another key");
        assert!(users.verify(&name("Ira"), KEY).unwrap() && users.verify(&name("Ira"), KEY).unwrap());
        let expected = format!("# mine\n\n{SERVER} Zoe {OTHER} verified\n{SERVER} Ira {KEY} verified\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        users.keep(&[(name("Boris"), KEY)]).unwrap();
        assert_eq!(users.find(&name("Boris")).unwrap().1[0].line, 5);
        fs::write(&path, format!("{SERVER} Zoe {OTHER}")).unwrap();
        users.keep(&[(name("Ira"), OTHER)]).unwrap();
        assert_eq!(users.judge(&name("Ira"), KEY), PinStatus::Changed { known: OTHER, line: 2 }, "no last line's end");
    }

    #[test]
    fn a_name_may_have_several_keys_and_all_are_that_person() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known_users");
        fs::write(&path, format!("{SERVER} Ira {KEY} verified\n{OTHER} Ira {OTHER}")).unwrap();
        let mut users = KnownUsers::open(folder.path(), SERVER).unwrap();
        let (ira, third) = (name("Ira"), Fingerprint([4; 32]));
        let changed = PinStatus::Changed { known: KEY, line: 1 };
        assert_eq!(users.judge(&ira, OTHER), changed);
        assert!(!users.accept(&name("Zoe"), OTHER).unwrap(), "nobody's second key");
        assert!(!users.accept(&name("lra"), OTHER).unwrap(), "somebody else's name");
        assert!(users.accept(&ira, OTHER).unwrap() && users.accept(&ira, OTHER).unwrap());
        let expected = format!("{SERVER} Ira {KEY} verified\n{OTHER} Ira {OTHER}\n{SERVER} Ira {OTHER}\n");
        assert_eq!(fs::read_to_string(&path).unwrap(), expected);
        let again = KnownUsers::open(folder.path(), SERVER).unwrap();
        for users in [&users, &again] {
            assert_eq!(users.judge(&ira, KEY), PinStatus::Known { verified: true });
            assert_eq!(users.judge(&ira, OTHER), PinStatus::Known { verified: false }, "each is compared by itself");
            assert_eq!(users.judge(&ira, third), changed);
            assert_eq!(users.judge(&name("lra"), OTHER), PinStatus::New, "the same person, by another name");
            assert_eq!(
                users.judge(&name("lra"), third),
                PinStatus::LooksLike { name: ira.clone(), line: 1 },
                "and another user"
            );
            let keys: Vec<_> = users.find(&ira).unwrap().1.iter().map(|key| (key.fingerprint, key.line)).collect();
            assert_eq!(keys, [(KEY, 1), (OTHER, 3)]);
        }
        assert!(users.verify(&ira, OTHER).unwrap());
        assert_eq!(users.judge(&ira, OTHER), PinStatus::Known { verified: true });
        assert!(fs::read_to_string(&path).unwrap().ends_with(&format!("{SERVER} Ira {OTHER} verified\n")));
    }

    #[test]
    fn a_line_that_cannot_be_read_is_told_with_its_number() {
        let folder = tempfile::tempdir().unwrap();
        for bad in ["Ira", "x Ira y", &format!("{SERVER} two words {KEY}"), &format!("{SERVER} Ira {KEY} yes")] {
            fs::write(folder.path().join("known_users"), format!("\n{bad}\n")).unwrap();
            let error = KnownUsers::open(folder.path(), SERVER).unwrap_err();
            assert!(matches!(error, LineFileError::BadLine { line: 2, .. }), "{error}");
        }
    }
}
