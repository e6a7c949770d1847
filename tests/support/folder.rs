//! Folders of keys that are gone when the test is. The keys are fixed: making one takes its time.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cfb_chat::chat::state::Access;
use cfb_chat::secure::identity::Identity;
use cfb_chat::server::{JournalPlace, ServerConfig, ServerTimeouts, StorageConfig};
use cfb_chat::store::passphrase::PassphraseSource;
use tempfile::TempDir;

/// Two users' keys and a server's, as PEM: for tests only.
pub const USER_A: &str = include_str!("../vectors/keys/user_a.pem");
pub const USER_B: &str = include_str!("../vectors/keys/user_b.pem");
pub const SERVER: &str = include_str!("../vectors/keys/server.pem");

/// A key as the library has it.
pub fn identity(pem: &str) -> Identity {
    Identity::from_pem(pem, None).expect("the tests' keys hold")
}

/// A folder of keys.
pub struct Folder {
    path: PathBuf,
    /// What lets it be gone, unless it is inside another.
    _temporary: Option<TempDir>,
}

impl Folder {
    /// One that only its owner can enter, with nothing in it.
    pub fn empty() -> Self {
        let temporary = TempDir::new().expect("a temporary folder");
        Self { path: temporary.path().to_owned(), _temporary: Some(temporary) }
    }

    /// One inside this one, which need not be there yet; it is gone when this one is.
    pub fn inside(&self, name: &str) -> Self {
        Self { path: self.file(name), _temporary: None }
    }

    /// What a server of these keys is started with inside the test, on any port: it keeps everything for itself, and takes
    /// everybody. What a test is about it settles.
    pub fn server_settings(&self) -> ServerConfig {
        ServerConfig {
            host: "127.0.0.1".into(),
            port: 0,
            public_address: None,
            udp: false,
            keys: self.path.clone(),
            bits: 2_048,
            passphrase: PassphraseSource::default(),
            keeping: StorageConfig {
                data: self.file("data"),
                journal: JournalPlace::Memory,
                journal_size: 1 << 20,
                resume: Duration::ZERO,
                unused_names: Duration::from_secs(86_400),
            },
            access: Access::Open,
            limits: false,
            log_level: log::LevelFilter::Info,
            timing: ServerTimeouts::standard(),
        }
    }

    /// One with a server's key.
    pub fn of_server(pem: &str) -> Self {
        let folder = Self::empty();
        folder.write("server_private_key.pem", pem, 0o600);
        folder
    }

    /// One with a user's key.
    pub fn of_user(name: &str, pem: &str) -> Self {
        let folder = Self::empty();
        folder.write(&format!("client_{name}_private_key.pem"), pem, 0o600);
        folder
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// Writes a file anew, and gives its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>, mode: u32) -> PathBuf {
        let path = self.file(name);
        fs::write(&path, content).expect("a file in a temporary folder");
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("its mode");
        path
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The permissions of a file; `.` is the folder itself.
    pub fn mode(&self, name: &str) -> u32 {
        fs::metadata(self.file(name)).unwrap_or_else(|error| panic!("{name}: {error}")).permissions().mode() & 0o7777
    }

    /// The names of what is in it, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).expect("a folder that is there");
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }
}
