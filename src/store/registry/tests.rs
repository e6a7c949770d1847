//! All that was written is read, and no more; unreadable values are reported.

use std::collections::BTreeMap;
use std::net::IpAddr;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::chat::Owner;
use crate::chat::message::SessionId;
use crate::chat::name::{Name, RoomName};
use crate::chat::registry_record::{AccountId, Network};

/// Schema of a former version, word by word.
const FIRST: &str = "
    PRAGMA journal_mode = WAL;
    CREATE TABLE letter (
        id INTEGER PRIMARY KEY, author BLOB NOT NULL, reader BLOB NOT NULL, at INTEGER NOT NULL, bytes BLOB NOT NULL);
    PRAGMA application_id = 0x63666263;
    PRAGMA user_version = 1;
    INSERT INTO letter VALUES (7, x'0101010101010101010101010101010101010101010101010101010101010101',
        x'0202020202020202020202020202020202020202020202020202020202020202', 1700000000000, x'820102');
    INSERT INTO letter VALUES (9, x'0202020202020202020202020202020202020202020202020202020202020202',
        x'0101010101010101010101010101010101010101010101010101010101010101', 1700000000001, x'');";

fn of_first(id: u64, author: u8, reader: u8, at: u64, bytes: &[u8]) -> RegistryRecord {
    RegistryRecord::Letter(Letter {
        id,
        author: [author; 32],
        reader: [reader; 32],
        at,
        bytes: bytes.into(),
        from: None,
    })
}

/// Returns the registry after these changes, each alone or all together.
fn read_back(changes: &[RegistryRecord], together: bool) -> Vec<RegistryRecord> {
    let folder = tempfile::tempdir().unwrap();
    let (mut registry, found) = Registry::open(folder.path()).unwrap();
    assert_eq!(found, []);
    let waits = registry
        .connection
        .as_ref()
        .unwrap()
        .pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0))
        .unwrap();
    assert_eq!(waits, 2, "every commit is on the disk");
    let count = if together { changes.len().max(1) } else { 1 };
    changes.chunks(count).for_each(|changes| assert!(!registry.keep(changes.iter()).unwrap()));
    drop(registry);
    Registry::open(folder.path()).unwrap().1
}

/// Registry contents, as [`Registry::open`] returns them.
#[derive(Default)]
struct Model {
    accounts: BTreeMap<u64, RegistryRecord>,
    operators: BTreeMap<Owner, RegistryRecord>,
    bans: BTreeMap<u64, RegistryRecord>,
    mutes: BTreeMap<u64, RegistryRecord>,
    invites: BTreeMap<u64, RegistryRecord>,
    words: Option<RegistryRecord>,
    rooms: BTreeMap<RoomName, RegistryRecord>,
    letters: BTreeMap<u64, RegistryRecord>,
}

impl Model {
    fn takes(&mut self, change: &RegistryRecord) {
        let whole = change.clone();
        match change {
            RegistryRecord::Letter(letter) => drop(self.letters.insert(letter.id, whole)),
            RegistryRecord::LetterGone(id) => drop(self.letters.remove(id)),
            RegistryRecord::Account(account) => drop(self.accounts.insert(account.id.0, whole)),
            RegistryRecord::AccountGone(id) => drop(self.accounts.remove(&id.0)),
            RegistryRecord::Operator(owner) => drop(self.operators.insert(*owner, whole)),
            RegistryRecord::OperatorGone(owner) => drop(self.operators.remove(owner)),
            RegistryRecord::Ban(ban) => drop(self.bans.insert(ban.id, whole)),
            RegistryRecord::BanGone(id) => drop(self.bans.remove(id)),
            RegistryRecord::Mute(mute) => drop(self.mutes.insert(mute.account.0, whole)),
            RegistryRecord::MuteGone(account) => drop(self.mutes.remove(&account.0)),
            RegistryRecord::Invite(invite) => drop(self.invites.insert(invite.id, whole)),
            RegistryRecord::InviteGone(id) => drop(self.invites.remove(id)),
            RegistryRecord::WordsOfTheDay(text) => self.words = (!text.is_empty()).then_some(whole),
            RegistryRecord::Room(rules) => drop(self.rooms.insert(rules.room.clone(), whole)),
            RegistryRecord::RoomGone(room) => drop(self.rooms.remove(room)),
        }
    }

    fn all(self) -> Vec<RegistryRecord> {
        let people = self.accounts.into_values().chain(self.operators.into_values());
        let order = self.bans.into_values().chain(self.mutes.into_values()).chain(self.invites.into_values());
        let rooms = self.words.into_iter().chain(self.rooms.into_values());
        people.chain(order).chain(rooms).chain(self.letters.into_values()).collect()
    }
}

/// Few numbers, so that they come again.
fn id() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 1..6_u64, 1 => Just(i64::MAX.unsigned_abs())]
}

fn account_id() -> impl Strategy<Value = AccountId> {
    id().prop_map(AccountId)
}

fn time() -> impl Strategy<Value = u64> {
    0..=i64::MAX.unsigned_abs()
}

fn owner() -> impl Strategy<Value = Owner> {
    prop_oneof![(0..4_u8).prop_map(|byte| [byte; 32]), any::<Owner>()]
}

fn name() -> impl Strategy<Value = Name> {
    "[A-Za-zäßжЖ0-9_][A-Za-z0-9.'_-]{0,15}".prop_filter_map("a name", |text| Name::parse(&text).ok())
}

fn room() -> impl Strategy<Value = RoomName> {
    prop_oneof![Just("#lobby"), Just("#Lab"), Just("#lab"), Just("#Übung")]
        .prop_map(|text| RoomName::parse(text).unwrap())
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), any::<String>()]
}

fn bytes() -> impl Strategy<Value = std::sync::Arc<[u8]>> {
    vec(any::<u8>(), 0..40).prop_map(Into::into)
}

fn account() -> impl Strategy<Value = Account> {
    let key = (owner(), bytes(), time(), time());
    let key = key.prop_map(|(owner, spki, added_at, used_at)| DeviceKey { owner, spki, added_at, used_at });
    (account_id(), name(), vec(text(), 0..5), vec(key, 0..17), option::of(text()), time())
        .prop_map(|(id, name, looks, keys, password, used_at)| Account { id, name, looks, keys, password, used_at })
}

fn network() -> impl Strategy<Value = Network> {
    let v4 = (any::<[u8; 4]>(), 0..=32_u8).prop_map(|(first, prefix)| Network { first: IpAddr::from(first), prefix });
    let v6 = (any::<[u8; 16]>(), 0..=128_u8).prop_map(|(first, prefix)| Network { first: IpAddr::from(first), prefix });
    prop_oneof![v4, v6]
}

fn ban() -> impl Strategy<Value = Ban> {
    let on = prop_oneof![
        (account_id(), name(), vec(owner(), 0..17)).prop_map(|(account, name, keys)| Banned::Name {
            account,
            name,
            keys
        }),
        owner().prop_map(Banned::Key),
        network().prop_map(Banned::Network),
    ];
    (id(), on, option::of(time()), text(), text(), time()).prop_map(|(id, on, until, reason, by, at)| Ban {
        id,
        on,
        until,
        reason,
        by,
        at,
    })
}

fn rules() -> impl Strategy<Value = RoomRules> {
    let fields = (room(), option::of(account_id()), any::<bool>(), vec(account_id(), 0..9), text(), any::<bool>());
    fields.prop_map(|(room, keeper, locked, guests, topic, registered)| RoomRules {
        room,
        keeper,
        locked,
        guests,
        topic,
        registered,
    })
}

fn letter() -> impl Strategy<Value = Letter> {
    let from = option::of((any::<[u8; 32]>().prop_map(SessionId), time()));
    (id(), owner(), owner(), time(), bytes(), from).prop_map(|(id, author, reader, at, bytes, from)| Letter {
        id,
        author,
        reader,
        at,
        bytes,
        from,
    })
}

fn change() -> impl Strategy<Value = RegistryRecord> {
    let mute = (account_id(), option::of(time()), text()).prop_map(|(account, until, by)| Mute { account, until, by });
    let invite = (id(), any::<[u8; 32]>(), time(), any::<u32>(), text())
        .prop_map(|(id, hash, until, uses, by)| Invite { id, hash, until, uses, by });
    let told = prop_oneof![
        letter().prop_map(RegistryRecord::Letter),
        account().prop_map(RegistryRecord::Account),
        owner().prop_map(RegistryRecord::Operator),
        ban().prop_map(RegistryRecord::Ban),
        mute.prop_map(RegistryRecord::Mute),
        invite.prop_map(RegistryRecord::Invite),
        text().prop_map(RegistryRecord::WordsOfTheDay),
        rules().prop_map(RegistryRecord::Room),
    ];
    let gone = prop_oneof![
        id().prop_map(RegistryRecord::LetterGone),
        account_id().prop_map(RegistryRecord::AccountGone),
        owner().prop_map(RegistryRecord::OperatorGone),
        id().prop_map(RegistryRecord::BanGone),
        account_id().prop_map(RegistryRecord::MuteGone),
        id().prop_map(RegistryRecord::InviteGone),
        Just(RegistryRecord::WordsOfTheDay(String::new())),
        room().prop_map(RegistryRecord::RoomGone),
    ];
    prop_oneof![2 => told, 1 => gone]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_stays_is_what_was_told_last(changes in vec(change(), 0..60), together: bool) {
        let mut model = Model::default();
        for change in &changes {
            model.takes(change);
        }
        prop_assert_eq!(read_back(&changes, together), model.all());
    }
}

#[test]
fn what_is_told_again_takes_the_place_of_what_was_told_before() {
    let key = |byte: u8| DeviceKey { owner: [byte; 32], spki: [byte].into(), added_at: 1, used_at: 2 };
    let account = |keys: &[u8], looks: &[&str]| {
        RegistryRecord::Account(Account {
            id: AccountId(1),
            name: Name::parse("Ira").unwrap(),
            looks: looks.iter().map(|look| (*look).to_owned()).collect(),
            keys: keys.iter().copied().map(key).collect(),
            password: None,
            used_at: 3,
        })
    };
    let (before, after) = (account(&[3, 1, 2], &["lra", "ira"]), account(&[2], &["ira"]));
    let gone = RegistryRecord::AccountGone(AccountId(1));
    let told = [before, after, gone];
    assert_eq!(read_back(&told[..1], true), told[..1], "in its order");
    assert_eq!(read_back(&told[..2], false), told[1..2]);
    assert_eq!(read_back(&told, true), []);
    let [before, after, gone] = told;
    assert_eq!(read_back(&[before, gone, after.clone()], true), [after]);
    let words = |text: &str| RegistryRecord::WordsOfTheDay(text.into());
    assert_eq!(read_back(&[words("Hello"), words("Hi")], true), [words("Hi")]);
    assert_eq!(read_back(&[words("Hello"), words("")], true), []);
}

/// A folder with a database that was made so, by another program.
fn made_by_hand(sql: &str) -> TempDir {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    folder
}

#[test]
fn what_a_former_version_has_written_is_brought_up_and_nothing_of_it_is_lost() {
    let folder = made_by_hand(FIRST);
    let letters = [of_first(7, 1, 2, 1_700_000_000_000, &[0x82, 1, 2]), of_first(9, 2, 1, 1_700_000_000_001, &[])];
    let (mut registry, found) = Registry::open(folder.path()).unwrap();
    assert_eq!(found, letters);
    registry.keep([RegistryRecord::LetterGone(7), RegistryRecord::WordsOfTheDay("Hello".into())].iter()).unwrap();
    drop(registry);
    let (_, found) = Registry::open(folder.path()).unwrap();
    assert_eq!(found, [RegistryRecord::WordsOfTheDay("Hello".into()), letters[1].clone()]);
}

#[test]
fn one_that_is_new_and_one_that_was_brought_up_are_made_alike() {
    let schema = |folder: &TempDir| {
        drop(Registry::open(folder.path()).unwrap());
        let connection = Connection::open(folder.path().join(FILE)).unwrap();
        let mut tables = connection.prepare("SELECT name, sql FROM sqlite_master ORDER BY name").unwrap();
        let tables = tables.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        let version: i32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        (version, tables.collect::<rusqlite::Result<Vec<(String, Option<String>)>>>().unwrap())
    };
    let made = schema(&tempfile::tempdir().unwrap());
    assert_eq!((made.0, made.1.len() > 10), (2, true));
    assert_eq!(made, schema(&made_by_hand(FIRST)));
}

#[test]
fn a_step_that_fails_changes_nothing() {
    // A table of that name exists: another program has written here.
    let folder = made_by_hand(&format!("{FIRST} CREATE TABLE room (name TEXT)"));
    for _ in 0..2 {
        let error = Registry::open(folder.path()).err().expect("it cannot be brought up");
        assert!(error.hint().is_some(), "{error}");
        let connection = Connection::open(folder.path().join(FILE)).unwrap();
        let version: i32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        let letters: i64 = connection.query_row("SELECT count(*) FROM letter", [], |row| row.get(0)).unwrap();
        let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0)).unwrap();
        assert_eq!((version, letters, tables), (1, 2, 2));
    }
}

#[test]
fn a_row_that_cannot_be_read_is_told_of_with_its_table() {
    const OWNER: &str = "x'0101010101010101010101010101010101010101010101010101010101010101'";
    let rows = [
        ("account", "INSERT INTO account VALUES (1, 'a b', NULL, 1)"),
        ("account", "INSERT INTO account VALUES (-1, 'Ira', NULL, 1)"),
        ("account", "INSERT INTO account VALUES (1, 'Ira', NULL, -1)"),
        ("account", "INSERT INTO account VALUES (1, 'Ira', x'00', 1)"),
        ("account_look", "PRAGMA foreign_keys = OFF; INSERT INTO account_look VALUES (1, 0, 'ira')"),
        (
            "account_key",
            "INSERT INTO account VALUES (1, 'Ira', NULL, 1); INSERT INTO account_key VALUES (1, 0, x'01', x'', 1, 1)",
        ),
        ("operator", "INSERT INTO operator VALUES (x'0102')"),
        ("ban", "INSERT INTO ban VALUES (1, NULL, NULL, NULL, NULL, NULL, '', '', 1)"),
        ("ban", "INSERT INTO ban VALUES (1, 1, 'a b', NULL, NULL, NULL, '', '', 1)"),
        ("ban", "INSERT INTO ban VALUES (1, NULL, NULL, NULL, '192.0.2.0', NULL, '', '', 1)"),
        ("ban", "INSERT INTO ban VALUES (1, NULL, NULL, NULL, '192.0.2.0/33', NULL, '', '', 1)"),
        ("ban", "INSERT INTO ban VALUES (1, NULL, NULL, NULL, '192.0.2.0/024', NULL, '', '', 1)"),
        ("ban", "INSERT INTO ban VALUES (1, NULL, NULL, NULL, '2001:db8::/129', NULL, '', '', 1)"),
        ("ban", "INSERT INTO ban VALUES (1, NULL, NULL, NULL, 'here/24', NULL, '', '', 1)"),
        ("ban", "INSERT INTO ban VALUES (1, 1, 'Ira', NULL, '192.0.2.0/24', NULL, '', '', 1)"),
        ("ban_key", "PRAGMA foreign_keys = OFF; INSERT INTO ban_key VALUES (1, 0, OWNER)"),
        ("mute", "INSERT INTO mute VALUES (1, -5, '')"),
        ("invite", "INSERT INTO invite VALUES (1, x'01', 1, 1, '')"),
        ("invite", "INSERT INTO invite VALUES (1, OWNER, 1, 4294967296, '')"),
        ("words_of_the_day", "INSERT INTO words_of_the_day VALUES (x'ff')"),
        ("room", "INSERT INTO room VALUES ('lab', NULL, 0, '', 0)"),
        ("room", "INSERT INTO room VALUES ('#lab', -1, 0, '', 0)"),
        (
            "room_guest",
            "INSERT INTO room VALUES ('#lab', 1, 0, '', 0); INSERT INTO room_guest VALUES ('#lab', 0, 'Ira')",
        ),
        ("letter", "INSERT INTO letter VALUES (1, OWNER, x'01', 1, x'', NULL, NULL)"),
        ("letter", "INSERT INTO letter VALUES (1, OWNER, OWNER, 1, x'', OWNER, NULL)"),
        ("letter", "INSERT INTO letter VALUES (1, OWNER, OWNER, 1, x'', NULL, 1)"),
    ];
    for (table, sql) in rows {
        let folder = tempfile::tempdir().unwrap();
        drop(Registry::open(folder.path()).unwrap());
        Connection::open(folder.path().join(FILE)).unwrap().execute_batch(&sql.replace("OWNER", OWNER)).unwrap();
        let error = Registry::open(folder.path()).err().unwrap_or_else(|| panic!("{sql} was read"));
        assert!(matches!(error, DatabaseError::Damaged { .. }), "{sql}: {error}");
        assert!(error.to_string().contains(&format!(" table {table}: ")), "{sql}: {error}");
        assert!(error.hint().is_some());
    }
}

#[test]
fn what_cannot_be_written_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let (mut registry, _) = Registry::open(folder.path()).unwrap();
    let words = |text: &str| RegistryRecord::WordsOfTheDay(text.into());
    registry.keep([words("Hello")].iter()).unwrap();
    let (path, elsewhere) = (folder.path().join(FILE), folder.path().join("elsewhere"));
    std::fs::rename(&path, &elsewhere).unwrap();
    assert!(registry.keep([words("Lost")].iter()).is_err(), "it is not there");
    std::fs::write(&path, "").unwrap();
    assert!(registry.keep([words("Lost")].iter()).is_err(), "another is there");
    std::fs::rename(&elsewhere, &path).unwrap();
    registry.keep([RegistryRecord::OperatorGone([1; 32])].iter()).unwrap();
    drop(registry);
    assert_eq!(Registry::open(folder.path()).unwrap().1, [words("Hello")]);
}
