use super::*;
use crate::wire::codec::Writer;

fn say(n: u64) -> ToServer {
    let body = Numbered::Say { room: RoomName::lobby(), change: 3, envelope: b"Hi".to_vec() };
    ToServer::Numbered { n, body }
}

#[test]
fn several_messages_in_a_record_are_read_in_order() {
    let text = [say(1).encode(), ToServer::Ping.encode(), say(2).encode()].concat();
    assert_eq!(ToServer::parse_all(&text), Ok(vec![say(1), ToServer::Ping, say(2)]));
}

#[test]
fn what_is_no_message_ends_everything() {
    let array_of_text = Writer::new().array(1).text("24").finish();
    let cut = &say(1).encode()[..10];
    for text in [&b""[..], &[0x00], &[0x80], &array_of_text, cut] {
        assert_eq!(ToServer::parse_all(text), Err(MessageError), "{text:02x?}");
    }
    let valid_then_not = [ToServer::Ping.encode(), vec![0x80]].concat();
    assert_eq!(ToServer::parse_all(&valid_then_not), Err(MessageError));
}

#[test]
fn a_number_that_is_none_ends_everything() {
    let zero = Writer::new().array(2).uint(17).uint(0).finish();
    let text = Writer::new().array(2).uint(18).text("1").finish();
    let none = Writer::new().array(1).uint(19).finish();
    for bytes in [zero, text, none] {
        assert_eq!(ToServer::parse_all(&bytes), Err(MessageError));
    }
}

#[test]
fn wrong_fields_are_malformed_and_other_types_unsupported() {
    let bad_room = Writer::new().array(4).uint(16).text("lobby").text("").uint(0).finish();
    assert_eq!(ToServer::parse_all(&bad_room), Ok(vec![ToServer::Malformed]));
    let short_say = Writer::new().array(2).uint(17).uint(7).finish();
    let expected = ToServer::Numbered { n: 7, body: Numbered::Malformed };
    assert_eq!(ToServer::parse_all(&short_say), Ok(vec![expected]));
    let short_box = Writer::new().array(3).uint(19).uint(8).array(1).array(1).uint(1).finish();
    let expected = ToServer::Numbered { n: 8, body: Numbered::Malformed };
    assert_eq!(ToServer::parse_all(&short_box), Ok(vec![expected]));
    let bad_name = Writer::new().array(2).uint(21).text("two words").finish();
    assert_eq!(ToServer::parse_all(&bad_name), Ok(vec![ToServer::Malformed]));
    let unknown = Writer::new().array(1).uint(99).finish();
    assert_eq!(ToServer::parse_all(&unknown), Ok(vec![ToServer::Unsupported]));
    assert_eq!(ToClient::parse_all(&unknown), Ok(vec![ToClient::Unknown]));
    let bad_accepted = Writer::new().array(2).uint(33).text("1").finish();
    assert_eq!(ToClient::parse_all(&bad_accepted), Err(ServerMessageError::Malformed(33)));
}

#[test]
fn nobody_has_the_number_0() {
    let whisper = |to| Writer::new().array(4).uint(18).uint(1).uint(to).bytes(b"box").finish();
    let share = |to| Writer::new().array(3).uint(19).uint(1).array(1).array(2).uint(to).bytes(b"box").finish();
    for message in [whisper(0), share(0)] {
        let malformed = ToServer::Numbered { n: 1, body: Numbered::Malformed };
        assert_eq!(ToServer::parse_all(&message), Ok(vec![malformed]));
    }
    for message in [whisper(1), share(1)] {
        assert_ne!(ToServer::parse_all(&message), Ok(vec![ToServer::Numbered { n: 1, body: Numbered::Malformed }]));
    }
    let person = |number| {
        ToClient::Person(Person { member: SessionNumber(number), spki: vec![], credential: vec![], signature: vec![] })
    };
    let event = |number| ToClient::Event {
        cursor: 1,
        at: 1,
        event: Event::Whispered { who: SessionNumber(number), boxed: vec![] },
    };
    let welcome = |one, own| {
        ToClient::Welcome(Welcome {
            room: RoomName::lobby(),
            members: vec![SessionNumber(one)],
            change: 1,
            resumed: false,
            cursor: 1,
            at: 1,
            notice: String::new(),
            longest_text: 1,
            own: SessionNumber(own),
        })
    };
    for (message, kind) in [(person(0), 35), (event(0), 34), (welcome(0, 1), 32), (welcome(1, 0), 32)] {
        assert_eq!(ToClient::parse_all(&message.encode()), Err(ServerMessageError::Malformed(kind)));
    }
    for message in [person(1), event(1), welcome(1, 1)] {
        assert_eq!(ToClient::parse_all(&message.encode()), Ok(vec![message]));
    }
}

#[test]
fn fields_that_a_later_version_adds_are_passed_over() {
    let ping = Writer::new().array(3).uint(24).text("later").array(0).finish();
    assert_eq!(ToServer::parse_all(&ping), Ok(vec![ToServer::Ping]));
    let accepted = Writer::new().array(3).uint(33).uint(5).bytes(b"later").finish();
    assert_eq!(ToClient::parse_all(&accepted), Ok(vec![ToClient::Accepted(5)]));
}

mod properties {
    use super::*;
    use proptest::prelude::*;

    fn room() -> impl Strategy<Value = RoomName> {
        name().prop_map(|name| RoomName::parse(&format!("#{name}")).unwrap())
    }

    fn name() -> impl Strategy<Value = Name> {
        "[a-z][a-z0-9]{0,31}".prop_map(|name| Name::parse(&name).unwrap())
    }

    fn member() -> impl Strategy<Value = SessionNumber> {
        (1u64..).prop_map(SessionNumber)
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 0..400)
    }

    fn to_server() -> impl Strategy<Value = ToServer> {
        prop_oneof![
            (room(), ".{0,20}", any::<u64>()).prop_map(|(room, password, cursor)| ToServer::Join {
                room,
                password,
                cursor
            }),
            (1u64.., room(), any::<u64>(), bytes()).prop_map(|(n, room, change, envelope)| ToServer::Numbered {
                n,
                body: Numbered::Say { room, change, envelope }
            }),
            (1u64.., member(), bytes())
                .prop_map(|(n, to, boxed)| ToServer::Numbered { n, body: Numbered::Whisper { to, boxed } }),
            (1u64.., proptest::collection::vec((member(), bytes()), 0..9))
                .prop_map(|(n, boxes)| ToServer::Numbered { n, body: Numbered::Share(boxes) }),
            (1u64.., any::<[u8; 32]>(), bytes())
                .prop_map(|(n, to, letter)| ToServer::Numbered { n, body: Numbered::Letter { to, letter } }),
            name().prop_map(ToServer::Lookup),
            any::<u64>().prop_map(ToServer::Seen),
            room().prop_map(ToServer::Leave),
            Just(ToServer::Ping),
        ]
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            (room(), member(), any::<u64>(), bytes())
                .prop_map(|(room, who, change, envelope)| { Event::Said { room, who, change, envelope } }),
            (room(), member(), any::<u64>()).prop_map(|(room, who, change)| Event::Joined { room, who, change }),
            (room(), member(), any::<u64>()).prop_map(|(room, who, change)| Event::Left {
                room,
                who,
                change,
                reason: LeftReason::Lost
            }),
            (member(), bytes()).prop_map(|(who, boxed)| Event::Whispered { who, boxed }),
            (member(), bytes()).prop_map(|(who, boxed)| Event::Shared { who, boxed }),
            ".{0,40}".prop_map(Event::Notice),
            bytes().prop_map(Event::Letter),
            (member(), any::<bool>()).prop_map(|(who, lost)| Event::Presence { who, lost }),
        ]
    }

    fn to_client() -> impl Strategy<Value = ToClient> {
        let numbers = any::<(u64, u64, u64, u64, bool)>();
        prop_oneof![
            (room(), proptest::collection::vec(member(), 0..40), member(), numbers, ".{0,40}").prop_map(
                |(room, members, own, (change, cursor, at, longest_text, resumed), notice)| {
                    ToClient::Welcome(Welcome { room, members, change, resumed, cursor, at, notice, longest_text, own })
                }
            ),
            any::<u64>().prop_map(ToClient::Accepted),
            (any::<u64>(), any::<u64>(), event()).prop_map(|(cursor, at, event)| ToClient::Event { cursor, at, event }),
            (member(), bytes(), bytes(), bytes()).prop_map(|(member, spki, credential, signature)| ToClient::Person(
                Person { member, spki, credential, signature }
            )),
            (".{0,40}", any::<u64>()).prop_map(|(text, n)| ToClient::Error { code: ErrorCode::Wait, text, n }),
            (name(), bytes()).prop_map(|(name, spki)| ToClient::Found { name, spki }),
            Just(ToClient::Pong),
            Just(ToClient::Bye(ByeReason::Slow)),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_nothing_else_is(message in to_server(), at in any::<usize>(), bit in 0..8u32) {
            let bytes = message.encode();
            prop_assert_eq!(ToServer::parse_all(&bytes), Ok(vec![message.clone()]));
            let mut bent = bytes.clone();
            let at = at % bent.len();
            bent[at] ^= 1 << bit;
            prop_assert_ne!(ToServer::parse_all(&bent), Ok(vec![message]));
            prop_assert!(ToServer::parse_all(&bytes[..bytes.len() - 1]).is_err());
        }

        #[test]
        fn what_a_server_writes_is_read(message in to_client()) {
            prop_assert_eq!(ToClient::parse_all(&message.encode()), Ok(vec![message]));
        }

        #[test]
        fn no_bytes_make_the_parsers_panic(bytes in bytes()) {
            let _ = ToServer::parse_all(&bytes);
            let _ = ToClient::parse_all(&bytes);
        }
    }
}
