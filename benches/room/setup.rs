//! What every measure needs: what was asked for, keys, something to say, and how long to measure.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use cfb_chat::chat::name::RoomName;
use cfb_chat::secure::credential::{OwnCredential, UnixSeconds};
use cfb_chat::secure::e2e::body::{BodyKind, MessageBody};
use cfb_chat::secure::e2e::roster::RosterHash;
use cfb_chat::secure::e2e::sender_key::OutboundSenderKey;
use cfb_chat::secure::identity::Identity;
use cfb_chat::store::key_files::{KeyHolder, load_or_make};
use cfb_chat::store::passphrase::PassphraseSource;

use super::cpu::Cores;

/// What can go wrong here goes wrong for good.
pub(crate) type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Length of each text, in bytes.
pub(crate) const TEXT: usize = 128;

/// What every measure needs.
pub(crate) struct Setup {
    /// Whose members all are: names belong to an identity, and one may have many.
    pub(crate) identity: Identity,
    /// Where the server's keys are. Made once, for all servers of this run and of later ones.
    pub(crate) keys: PathBuf,
    /// What is said.
    pub(crate) envelope: Vec<u8>,
    pub(crate) cores: Cores,
    pub(crate) warm_up: Duration,
    /// How long saturated rooms are measured.
    pub(crate) window: Duration,
    /// How long quiet ones are.
    pub(crate) listening: Duration,
}

/// What the arguments ask for.
pub(crate) struct Request<'a>(Vec<&'a str>);

impl Request<'_> {
    /// Whether all is to be small.
    pub(crate) fn quick(&self) -> bool {
        self.0.contains(&"quick")
    }

    /// Whether this is to be measured: if none is named, all are.
    pub(crate) fn wants(&self, measure: &str) -> bool {
        self.0.iter().all(|word| *word == "quick") || self.0.contains(&measure)
    }
}

/// Measures what the arguments ask for, of these.
pub(crate) fn bench(name: &str, measures: &[&str], run: impl FnOnce(&Request<'_>) -> Outcome<()>) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("nothing is measured in a test run: cargo bench --bench {name}");
        return ExitCode::SUCCESS;
    }
    let words: Vec<&str> = arguments.iter().map(String::as_str).filter(|word| !word.starts_with("--")).collect();
    if let Some(unknown) = words.iter().find(|word| **word != "quick" && !measures.contains(word)) {
        eprintln!("error: unknown measure {unknown}: quick, {}", measures.join(", "));
        return ExitCode::from(2);
    }
    match run(&Request(words)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Makes it ready, with keys that are kept in this folder among the build's files.
pub(crate) fn prepare(folder: &str, quick: bool) -> Outcome<Setup> {
    progress("keys: 3072 bits, made once and kept");
    let keys = Path::new(env!("CARGO_TARGET_TMPDIR")).join(folder);
    let owner = KeyHolder::Client("bench");
    let identity = load_or_make(&keys, owner, 3072, &mut rand::rng(), &PassphraseSource::default())?.identity;
    let seconds = |in_full: u64| Duration::from_secs(if quick { 1 } else { in_full });
    let cores = Cores::find()?;
    let envelope = envelope(&identity);
    Ok(Setup { identity, keys, envelope, cores, warm_up: seconds(2), window: seconds(5), listening: seconds(10) })
}

/// Others than [`Setup::identity`], for names of which one identity may have few.
pub(crate) fn identities(setup: &Setup, count: usize) -> Outcome<Vec<Identity>> {
    let one = |number| {
        let (owner, source) = (format!("bench{number}"), PassphraseSource::default());
        Ok(load_or_make(&setup.keys, KeyHolder::Client(&owner), 3072, &mut rand::rng(), &source)?.identity)
    };
    (0..count).map(one).collect()
}

/// A text as it goes to a room, where its sender has said a thousand before.
fn envelope(identity: &Identity) -> Vec<u8> {
    let rng = &mut rand::rng();
    let said = MessageBody { sent_at: 1_790_000_000_000, kind: BodyKind::Text, text: "x".repeat(TEXT) };
    let (server, lobby) = (identity.public().fingerprint(), RoomName::lobby());
    let roster = RosterHash::new(server, lobby.as_str(), 500, [].iter());
    let own = OwnCredential::for_user(rng, identity, "bench", UnixSeconds(1_790_000_000));
    OutboundSenderKey::new(rng, 1_000).seal(&said.pad()).sign(&own, server, lobby.as_str(), roster)
}

/// What is being done, for whoever waits: it takes minutes.
pub(crate) fn progress(what: &str) {
    eprintln!("{what}");
}
