use super::*;

fn command(line: &str) -> Command {
    Command::parse(line).unwrap().unwrap_or_else(|why| panic!("{line:?}: {why}"))
}

fn refused(line: &str) -> String {
    Command::parse(line).unwrap().expect_err(line)
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn lab(in_room: RoomCommand) -> Command {
    Command::Room(RoomName::parse("#lab").unwrap(), in_room)
}

fn network(address: &str, prefix: u8) -> BanTarget {
    BanTarget::Network(Network::new(address.parse().unwrap(), Some(prefix)).unwrap())
}

#[test]
fn every_command_is_read_in_capitals_or_not() {
    const HOUR: Duration = Duration::from_secs(3_600);
    let key = fingerprint::ShownFingerprint([7; 32]).to_string();
    let words = |text: &str| text.to_owned();
    let mallory = || BanTarget::Name(name("Mallory"));
    let cases = [
        ("HELP", Command::Help(None)),
        (" help ban\r\n", Command::Help(Some(words("BAN")))),
        ("rooms", Command::Rooms),
        ("WHO", Command::Who),
        ("SAY  back at ten ", Command::Say(words("back at ten"))),
        ("KICK Mallory", Command::Kick(name("Mallory"), String::new())),
        ("kick Mallory be kind", Command::Kick(name("Mallory"), words("be kind"))),
        ("KICK #lab Mallory off topic", lab(RoomCommand::Kick(name("Mallory"), words("off topic")))),
        ("BAN Mallory", Command::Ban(mallory(), None, String::new())),
        ("BAN Mallory 1h spam", Command::Ban(mallory(), Some(HOUR), words("spam"))),
        ("BAN Mallory spam", Command::Ban(mallory(), None, words("spam"))),
        ("BAN Mallory forever spam", Command::Ban(mallory(), None, words("spam"))),
        (&format!("BAN {key} 2h"), Command::Ban(BanTarget::Key([7; 32]), Some(2 * HOUR), String::new())),
        ("BAN 192.0.2.7", Command::Ban(network("192.0.2.7", 32), None, String::new())),
        ("BAN 192.0.2.7/24 10m", Command::Ban(network("192.0.2.0", 24), Some(HOUR / 6), String::new())),
        ("BAN 2001:db8::1/64", Command::Ban(network("2001:db8::", 64), None, String::new())),
        ("UNBAN 3", Command::Unban(BanTarget::Number(3, None))),
        ("UNBAN Mallory", Command::Unban(mallory())),
        ("BANS", Command::Bans),
        ("MUTE Mallory", Command::Mute(name("Mallory"), Some(HOUR))),
        ("MUTE Mallory forever", Command::Mute(name("Mallory"), None)),
        ("UNMUTE Mallory", Command::Unmute(name("Mallory"))),
        ("OP Ira", Command::Op(name("Ira"))),
        ("DEOP Ira", Command::Deop(name("Ira"))),
        ("INVITE", Command::Invite(24 * HOUR, 1)),
        ("INVITE 2 30", Command::Invite(2 * HOUR, 30)),
        ("INVITE #lab Ira", lab(RoomCommand::Invite(name("Ira")))),
        ("INVITES", Command::Invites),
        ("REVOKE 2", Command::Revoke(2)),
        ("FORGET Ira", Command::Forget(name("Ira"))),
        ("STATUS", Command::Status),
        ("RELOAD", Command::Reload),
        ("MOTD", Command::WordsOfTheDay),
        ("MOTD Welcome, all", Command::SetWordsOfTheDay(words("Welcome, all"))),
        ("MOTD -", Command::SetWordsOfTheDay(String::new())),
        ("TERMINATE", Command::Terminate),
        ("TOPIC #lab", Command::Topic(RoomName::parse("#lab").unwrap())),
        ("TOPIC #lab cold fusion", lab(RoomCommand::SetTopic(words("cold fusion")))),
        ("TOPIC #lab -", lab(RoomCommand::SetTopic(String::new()))),
        ("LOCK #lab", lab(RoomCommand::Lock)),
        ("UNLOCK #lab", lab(RoomCommand::Unlock)),
        ("KEEPER #lab Ira", lab(RoomCommand::Keeper(name("Ira")))),
        ("REGISTER #lab", lab(RoomCommand::Register)),
        ("UNREGISTER #lab", lab(RoomCommand::Unregister)),
        ("DEVICES", Command::Devices),
        (&format!("DEVICES {key}"), Command::RemoveDevice([7; 32])),
    ];
    for (line, expected) in &cases {
        assert_eq!(&command(line), expected, "{line:?}");
    }
    for entry in &ALL {
        let is_read = cases.iter().any(|(line, _)| split_word(line.trim()).0.eq_ignore_ascii_case(entry.word));
        assert!(is_read || ["DURATION", "NAME", "#ROOM"].contains(&entry.word), "{}", entry.word);
    }
}

#[test]
fn a_line_that_is_no_command_changes_nothing_and_says_what_would_do() {
    assert_eq!(Command::parse("  \r\n"), None);
    for (line, hint) in [
        ("hello", "no such command: hello; HELP lists them"),
        ("/help", "no such command"),
        ("terminate", "TERMINATE, in capitals and alone"),
        ("TERMINATE now", "TERMINATE, in capitals and alone"),
        ("TERMINATED", "no such command"),
        ("\u{1b}[2J", "control characters"),
        ("SAY one\ntwo", "control characters"),
        ("WHO is here", "WHO stands alone; usage: WHO"),
        ("SAY", "usage: SAY TEXT"),
        ("KICK", "usage: KICK #room NAME [REASON]  or  KICK NAME [REASON]"),
        ("KICK two\u{202e}", "is no name"),
        ("KICK #lab", "usage: KICK #room"),
        ("BAN Mallory 10x spam", "30s, 10m, 2h"),
        ("BAN Mallory 0s", "30s, 10m, 2h"),
        ("BAN Mallory 99999999999999999999w", "30s, 10m, 2h"),
        ("BAN Mallory 18446744073709551615w", "30s, 10m, 2h"),
        ("BAN 10.0.0.0/8", "too many"),
        ("BAN 10.0.0.0/33", "longer than the address"),
        ("BAN 10.0.0.0/x", "no number"),
        ("BAN", "usage: BAN NAME"),
        ("BAN SHA256:short", "no fingerprint"),
        ("MUTE Mallory because", "30s, 10m, 2h"),
        ("INVITE 0", "1 to 8760 hours"),
        ("INVITE 1 0", "1 to 8760 hours"),
        ("INVITE Ira", "usage: INVITE #room NAME"),
        ("INVITE #lab", "usage: INVITE #room NAME"),
        ("OP Ira and Boris", "usage: OP NAME"),
        ("LOCK lab", "lab is no room: a room's name begins with #"),
        ("LOCK", "usage: LOCK #room"),
        ("DEVICES SHA256:x", "no fingerprint"),
        ("DURATION", "no such command"),
        ("REVOKE first", "usage: REVOKE NUMBER"),
    ] {
        let told = refused(line);
        assert!(told.contains(hint), "{line:?}: {told}");
        assert!(!told.contains('\u{1b}') && !told.contains('\u{202e}'));
    }
    assert!(refused(&format!("SAY {}", "x".repeat(600))).contains("more than 512"));
    assert!(refused(&"x".repeat(5_000)).contains("at most 4096"));
}

#[test]
fn help_tells_each_what_they_may() {
    let all = help(None, Rank::Operator);
    assert!(ALL.iter().all(|entry| all.contains(entry.usage) && all.contains(entry.does)));
    let some = help(None, Rank::Anybody);
    assert!(some.contains("ROOMS") && !some.contains("BAN") && !some.contains("LOCK"));
    assert_eq!(help(Some("BAN"), Rank::Operator).lines().count(), 3);
    assert!(help(Some("BAN"), Rank::Keeper).contains("no such command"));
}

#[test]
fn the_log_is_told_whom_it_is_about_and_not_what_is_said() {
    for (line, told) in [
        ("SAY the password is x", "SAY"),
        ("MOTD secret", "MOTD"),
        ("TOPIC #lab secret", "TOPIC #lab"),
        ("BAN Mallory 90m spam\u{202e}", "BAN Mallory 90m (spam<U+202E>)"),
        ("BAN 192.0.2.7/24", "BAN 192.0.2.0/24 forever"),
        ("INVITE 48 2", "INVITE for 2d, 2 times"),
    ] {
        assert_eq!(command(line).to_string(), told);
        assert!(command(line).is_act());
    }
}

#[test]
fn a_network_has_the_addresses_that_begin_like_it() {
    let has = |network: &Network, address: &str| network.has(address.parse().unwrap());
    let v4 = Network::new("192.0.2.77".parse().unwrap(), Some(24)).unwrap();
    assert!(has(&v4, "192.0.2.0") && has(&v4, "192.0.2.255") && has(&v4, "::ffff:192.0.2.1"));
    assert!(!has(&v4, "192.0.3.0") && !has(&v4, "2001:db8::"));
    let v6 = Network::new("2001:db8::1".parse().unwrap(), Some(64)).unwrap();
    assert!(has(&v6, "2001:db8::ffff") && !has(&v6, "2001:db8:0:1::"));
    let all = Network::new("192.0.2.77".parse().unwrap(), None).unwrap();
    assert!(has(&all, "192.0.2.77") && !has(&all, "192.0.2.78"));
}

proptest::proptest! {
    #[test]
    fn any_line_is_a_command_or_a_hint_and_neither_acts_on_a_screen(line in "(?s).{0,60}|(?i)(ban|kick|mute|invite|topic|help) (?s).{0,40}") {
        let told = match Command::parse(&line) {
            None => String::new(),
            Some(Ok(command)) => command.to_string(),
            Some(Err(hint)) => hint,
        };
        proptest::prop_assert_eq!(Visible(&told).to_string(), told);
    }
}
