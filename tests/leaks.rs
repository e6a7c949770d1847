//! What people say to each other is nowhere in the server that relays it: not in its memory, not in its files, not in its
//! log, and not on the wire. PROTOCOL.md §1, §7.

// Elsewhere no process shows its memory as a file.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::FileExt;

use cfb_chat::secure::identity::PublicIdentity;

use crate::support::folder::{Folder, USER_A, USER_B};
use crate::support::peer::{ANNA, Answer, Peer};
use crate::support::process::{Client, READY, Server};
use crate::support::proxy::Proxy;

const SAID: &str = "the canary in the room sings at midnight";
const WHISPERED: &str = "the canary at the ear whispers at noon";
const WRITTEN: &str = "the canary in the letter waits for dawn";
/// What all three have in them, and nothing else has.
const CANARY: &str = "the canary ";
/// A letter that nobody has sealed.
const UNSEALED: &str = "the finch in the open letter sings for all";
/// Two whose names the server has to know.
const SPEAKER: &str = "Melusine-of-the-quiet-reeds";
const READER: &str = "Nightjar-under-the-alder";

/// So much memory is searched at a time.
const CHUNK: usize = 1 << 20;

/// Looks for words as a program could have them.
struct Search(Vec<Vec<u8>>);

impl Search {
    fn new(words: &str) -> Self {
        let utf_16 = |bytes: fn(u16) -> [u8; 2]| words.encode_utf16().flat_map(bytes).collect();
        let hex = words.bytes().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        Self(vec![
            words.into(),
            utf_16(u16::to_le_bytes),
            utf_16(u16::to_be_bytes),
            hex.to_uppercase().into(),
            hex.into(),
        ])
    }

    fn finds_in(&self, bytes: &[u8]) -> bool {
        self.0.iter().any(|form| bytes.windows(form.len()).any(|window| window == form))
    }

    /// How long what it looks for is at most, in bytes.
    fn longest(&self) -> usize {
        self.0.iter().map(Vec::len).max().unwrap_or_default()
    }
}

/// Which of these are anywhere in a process's memory, and how many bytes of it were searched.
fn search_memory<const N: usize>(process: u32, searches: &[Search; N]) -> ([bool; N], usize) {
    let maps = BufReader::new(File::open(format!("/proc/{process}/maps")).expect("its map of its memory"));
    let memory = File::open(format!("/proc/{process}/mem")).expect("its memory");
    let overlap = searches.iter().map(Search::longest).max().unwrap_or_default();
    let (mut found, mut searched, mut chunk) = ([false; N], 0, vec![0; CHUNK]);
    for line in maps.lines() {
        let line = line.expect("a line of the map");
        let (range, rest) = line.split_once(' ').expect("a range, and its rights");
        let (start, end) = range.split_once('-').expect("a start and an end");
        let address = |hex| u64::from_str_radix(hex, 16).expect("an address");
        let (mut at, end) = (address(start), address(end));
        // What the system lends every process ([vvar], [vsyscall]) cannot be read here.
        while rest.starts_with('r') && at < end {
            let wanted = usize::try_from(end - at).map_or(CHUNK, |left| left.min(CHUNK));
            let Ok(read @ 1..) = memory.read_at(&mut chunk[..wanted], at) else { break };
            for (found, search) in found.iter_mut().zip(searches) {
                *found = *found || search.finds_in(&chunk[..read]);
            }
            searched += read;
            at += read as u64;
            if at < end && read > overlap {
                at -= overlap as u64;
            }
        }
    }
    (found, searched)
}

#[test]
fn what_is_said_whispered_and_written_is_nowhere_in_the_server() {
    let server = Server::without_limits();
    let proxy = Proxy::start(server.port, 4);
    let join = |name: &str, folder, more: &[&str]| {
        let client = Client::start(proxy.port, name, folder, more);
        client.process.out.wait_for(READY);
        client
    };
    let mut speaker = join(SPEAKER, Folder::of_user(SPEAKER, USER_A), &[]);
    let reader = join(READER, Folder::of_user(READER, USER_B), &[]);
    let Client { mut process, folder: keys_of_clara } = join("Clara", Folder::empty(), &["--bits", "2048"]);
    speaker.process.out.wait_for("[+] Clara joined the room.");
    process.type_line("EXIT");
    process.wait();
    speaker.process.out.wait_for("[+] Clara left the room.");

    speaker.says(SAID);
    reader.sees(SPEAKER, SAID);
    speaker.says(&format!("/whisper {READER} {WHISPERED}"));
    reader.process.out.wait_for(&format!("[whisper from {SPEAKER}] {WHISPERED}"));
    speaker.says(&format!("/whisper Clara {WRITTEN}"));
    speaker.process.out.wait_for(&format!("[letter to Clara, without forward secrecy] {WRITTEN}"));

    let mut finch = Peer::join(server.port, &ANNA, "finch");
    let key_of_clara = PublicIdentity::from_pem(keys_of_clara.read("client_Clara_public_key.pem")).expect("her key");
    let open_letter = finch.voice.write_openly(&key_of_clara, UNSEALED.as_bytes());
    finch.send_next(open_letter);
    assert_eq!(finch.is_answered(), Answer::Accepted(1));

    // What must not be there, and, to show that it would be found, what has to be: while the letters wait.
    let searches = [CANARY, SPEAKER, READER, UNSEALED].map(Search::new);
    let (found, searched) = search_memory(server.process.id(), &searches);
    assert_eq!(found, [false, true, true, true], "its memory, while the letters wait: {searched} bytes");
    // And when they have been read.
    let clara = join("Clara", keys_of_clara, &[]);
    clara.process.out.wait_for(&format!("[letter from {SPEAKER}, without forward secrecy] {WRITTEN}"));
    let ([found, ..], searched) = search_memory(server.process.id(), &searches);
    assert!(!found && searched > 4 * CHUNK, "its memory, when all is delivered: {searched} bytes");

    for client in [speaker, reader, clara] {
        assert_eq!(client.exit().status, Some(0));
    }
    // Its keys, and what it keeps of the talk: the journal, and letters.
    let files: Vec<Vec<u8>> = [server.folder.path(), &server.folder.file("data")]
        .into_iter()
        .flat_map(|folder| fs::read_dir(folder).expect("its folder"))
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_file())
        .map(|path| fs::read(path).expect("a file of its folder"))
        .collect();
    let ended = server.terminate();
    let [canary, speaker, ..] = &searches;
    let found = |places: &[Vec<u8>], search: &Search| places.iter().any(|place| search.finds_in(place));
    assert!(!found(&files, canary) && found(&files, &Search::new("-----BEGIN ")), "its files");
    let log = [ended.out.into_bytes(), ended.err.into_bytes()];
    assert!(!found(&log, canary) && found(&log, speaker), "its log");
    let wire: Vec<Vec<u8>> = proxy.kept().into_iter().map(|kept| kept.bytes).collect();
    assert!(wire.iter().all(|direction| direction.len() > 1_000), "all of it went through here");
    assert!(!found(&wire, canary) && !found(&wire, speaker), "the wire");
}
