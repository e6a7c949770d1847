//! One set of tests for every kind of link: nobody above can tell them apart.

use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Instant;

use cfb_chat::net::secure_channel::{Channel, ReadError, accept, connect, now};
use cfb_chat::net::tcp::TcpLink;
use cfb_chat::net::udp::server::UdpListener;
use cfb_chat::net::{Link, memory, udp, write_all};
use cfb_chat::secure::credential::{OwnCredential, SignatureCache};
use cfb_chat::secure::handshake::VerifiedPeer;
use cfb_chat::secure::record::MAX_RECORD_TEXT;

use crate::support::PATIENCE;
use crate::support::folder::{SERVER, USER_A, identity};

type AnyLink = Arc<dyn Link>;

/// A client's end and a server's, which over UDP is not there before the client has said something; and what has to be
/// there for as long as they are.
struct Pair {
    client: AnyLink,
    server: Box<dyn FnOnce() -> AnyLink + Send>,
    listening: Option<UdpListener>,
}

fn in_memory() -> Pair {
    let (client, server) = memory::pair().expect("descriptors");
    Pair { client: Arc::new(client), server: Box::new(|| Arc::new(server)), listening: None }
}

fn by_tcp() -> Pair {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("somebody listens");
    let (server, _) = listener.accept().expect("a connection");
    let link = |socket| -> AnyLink { Arc::new(TcpLink::new(socket).expect("a connection")) };
    Pair { client: link(client), server: Box::new(move || link(server)), listening: None }
}

fn by_udp() -> Pair {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let address = socket.local_addr().expect("an address");
    let (came, comes) = mpsc::channel();
    let listening = UdpListener::start(socket, move |link, _| came.send(link).expect("the test waits"));
    let client = udp::client::connect(address, PATIENCE).expect("somebody listens");
    Pair {
        client: Arc::new(client),
        server: Box::new(move || comes.recv_timeout(PATIENCE).expect("a conversation")),
        listening: Some(listening.expect("a thread")),
    }
}

/// One end's channel, and its link.
type End = (Channel, AnyLink);

fn each(test: impl Fn(End, End)) {
    for (kind, Pair { client, server, listening }) in [("memory", in_memory()), ("tcp", by_tcp()), ("udp", by_udp())] {
        println!("{kind}");
        let deadline = Instant::now() + PATIENCE;
        let accepting = thread::spawn(move || {
            let (server, own) = (server(), OwnCredential::for_server(&mut rand::rng(), &identity(SERVER), now()));
            let channel = accept(
                &server,
                deadline,
                &mut rand::rng(),
                &own,
                &SignatureCache::default(),
                now(),
                |_| true,
                |_, _| {},
            );
            (channel.expect("it is a client"), server)
        });
        let (rng, who) = (&mut rand::rng(), identity(USER_A));
        let own = OwnCredential::for_user(rng, &who, "Anna", now());
        let judge = |_: &VerifiedPeer| Ok::<(), ()>(());
        let channel = connect(&client, deadline, rng, &who, &own, now(), judge, |_| {}).expect("it is a server");
        let (mut client, mut server) = ((channel, client), accepting.join().expect("the handshake"));
        // The first to speak is the client, as always.
        says(&mut client, b"hello");
        assert_eq!(reads(&mut server).expect("a record"), b"hello");
        test(client, server);
        drop(listening);
    }
}

/// Says this in a record.
fn says((channel, link): &mut End, text: &[u8]) {
    let mut frame = Vec::new();
    channel.sealer.seal(text, &mut frame);
    write_all(&**link, &frame, Instant::now() + PATIENCE).expect("somebody reads");
}

fn reads((channel, _): &mut End) -> Result<Vec<u8>, ReadError> {
    channel.incoming.next_text(PATIENCE).map(|text| text.to_vec())
}

#[test]
fn records_of_any_length_arrive_as_they_were_both_ways() {
    each(|mut client, mut server| {
        assert_eq!(server.0.peer.credential().name(), "Anna");
        for length in [1, 1_146, 1_147, 1_148, 4_096, MAX_RECORD_TEXT, 2] {
            let text: Vec<u8> = (0..length).map(|at| u8::try_from(at % 251).expect("it is below")).collect();
            says(&mut client, &text);
            assert!(reads(&mut server).expect("a record") == text, "{length}");
            says(&mut server, &text);
            assert!(reads(&mut client).expect("a record") == text, "{length}");
        }
    });
}

#[test]
fn much_goes_through_while_its_reader_is_slow_to_begin() {
    const RECORDS: usize = 60;
    each(|mut client, mut server| {
        let text = vec![7; MAX_RECORD_TEXT];
        thread::scope(|scope| {
            // Far more than the systems in between hold: it stops until there is a reader.
            let writing = scope.spawn(|| (0..RECORDS).for_each(|_| says(&mut server, &text)));
            says(&mut client, b"now");
            for _ in 0..RECORDS {
                assert!(reads(&mut client).expect("a record") == text);
            }
            writing.join().expect("it takes all");
        });
        assert_eq!(reads(&mut server).expect("a record"), b"now");
    });
}

#[test]
fn the_last_words_are_read_before_the_end_and_then_there_is_nothing() {
    each(|mut client, mut server| {
        says(&mut server, b"the last words");
        server.1.close(Shutdown::Both);
        assert_eq!(reads(&mut client).expect("a record"), b"the last words");
        assert!(matches!(reads(&mut client), Err(ReadError::Closed)));
        client.1.close(Shutdown::Both);
    });
}

#[test]
fn who_has_said_all_can_still_read() {
    each(|mut client, mut server| {
        says(&mut client, b"that is all");
        client.1.close(Shutdown::Write);
        assert_eq!(reads(&mut server).expect("a record"), b"that is all");
        assert!(matches!(reads(&mut server), Err(ReadError::Closed)));
        says(&mut server, b"so long");
        assert_eq!(reads(&mut client).expect("a record"), b"so long");
    });
}

#[test]
fn who_waits_wakes_up_when_their_own_end_is_closed() {
    each(|client, _server| {
        let (Channel { mut incoming, .. }, link) = client;
        let waiting = thread::spawn(move || incoming.next_text(PATIENCE).map(|_| ()));
        link.close(Shutdown::Both);
        assert!(matches!(waiting.join().expect("it waits"), Err(ReadError::Closed)));
    });
}
