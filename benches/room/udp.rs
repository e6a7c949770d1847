//! TCP against UDP: how long a record takes through a network that delays, and for UDP also loses.
//!
//! The way is a relay of ours, which cannot lose what TCP's kernel sends: TCP goes through the same delay without loss.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use cfb_chat::net::secure_channel::{accept, connect, now};
use cfb_chat::net::tcp::TcpLink;
use cfb_chat::net::udp::{client, server::UdpListener};
use cfb_chat::net::{Link, write_all};
use cfb_chat::secure::credential::{OwnCredential, SignatureCache};
use cfb_chat::secure::handshake::VerifiedPeer;

use super::member::PATIENCE;
use super::relay::{Faults, Relay};
use super::{Outcome, Setup};

/// One way through the network.
pub(crate) const DELAY: Duration = Duration::from_millis(20);
/// Bytes of a record's text: about what somebody says.
pub(crate) const TEXT: usize = 305;
/// A record is sent so often.
pub(crate) const PACE: Duration = Duration::from_millis(20);

/// How long records took.
pub(crate) struct Journey {
    pub(crate) by: &'static str,
    /// Of a hundred datagrams, in either direction.
    pub(crate) lost: u32,
    pub(crate) records: usize,
    /// From sealing to opened: p50, p99, most.
    pub(crate) took: [Duration; 3],
}

type AnyLink = Arc<dyn Link>;

pub(crate) fn measure(setup: &Setup, records: usize) -> Outcome<Vec<Journey>> {
    let mut journeys = vec![journey(setup, "TCP", 0, records, by_tcp()?)?];
    for lost in [0, 1, 5] {
        // The same loss each time.
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let relay = Relay::to(socket.local_addr()?.port(), Faults { lost, delay: DELAY, ..Faults::default() }, 4);
        let (came, comes) = mpsc::channel();
        let _listening = UdpListener::start(socket, move |link, _| drop(came.send(link)))?;
        let reader: AnyLink = Arc::new(client::connect((Ipv4Addr::LOCALHOST, relay.port).into(), PATIENCE)?);
        let writer = Box::new(move || comes.recv_timeout(PATIENCE).ok());
        journeys.push(journey(setup, "UDP", lost, records, (reader, writer))?);
    }
    Ok(journeys)
}

/// A client's link, and a server's that may yet have to come.
type Ends = (AnyLink, Box<dyn FnOnce() -> Option<AnyLink> + Send>);

fn journey(setup: &Setup, by: &'static str, lost: u32, records: usize, ends: Ends) -> Outcome<Journey> {
    let (reader, writer) = ends;
    let deadline = Instant::now() + PATIENCE;
    let own = OwnCredential::for_server(&mut rand::rng(), &setup.identity, now());
    let (tell, told) = mpsc::channel();
    let writing = thread::spawn(move || {
        let link = writer().ok_or("nobody came")?;
        let channel =
            accept(&link, deadline, &mut rand::rng(), &own, &SignatureCache::default(), now(), |_| true, |_, _| {});
        let mut sealer = channel.map_err(|error| error.to_string())?.sealer;
        // What opens the talk is the reader's, so that a stream over UDP is authenticated.
        link.read(&mut [0; 64], PATIENCE).map_err(|error| error.to_string())?;
        for _ in 0..records {
            let mut frame = Vec::new();
            let sent = Instant::now();
            sealer.seal(&[7; TEXT], &mut frame);
            write_all(&*link, &frame, sent + PATIENCE).map_err(|error| error.to_string())?;
            tell.send(sent).map_err(|error| error.to_string())?;
            thread::sleep(PACE);
        }
        Ok::<_, String>(link)
    });
    let user = OwnCredential::for_user(&mut rand::rng(), &setup.identity, "bench", now());
    let judge = |_: &VerifiedPeer| Ok::<(), std::fmt::Error>(());
    let channel = connect(&reader, deadline, &mut rand::rng(), &setup.identity, &user, now(), judge, |_| {});
    let mut incoming = channel.map_err(|error| error.to_string())?.incoming;
    write_all(&*reader, b"!", Instant::now() + PATIENCE)?;
    let mut took = Vec::new();
    for _ in 0..records {
        incoming.next_text(PATIENCE)?;
        took.push(Instant::now());
    }
    let mut took: Vec<Duration> = took.into_iter().zip(told).map(|(read, sent)| read - sent).collect();
    took.sort_unstable();
    reader.close(Shutdown::Both);
    writing.join().map_err(|_| "the writer has panicked")??.close(Shutdown::Both);
    let at = |part: usize| took[(took.len() * part / 100).min(took.len() - 1)];
    Ok(Journey { by, lost, records, took: [at(50), at(99), at(100)] })
}

/// Two ends, and between them somebody who passes everything on a while later.
fn by_tcp() -> Outcome<Ends> {
    let (near, far) = (TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?, TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?);
    let reader = TcpStream::connect(near.local_addr()?)?;
    let (down, up) = (near.accept()?.0, tcp(far.local_addr()?)?);
    let writer = TcpLink::new(far.accept()?.0)?;
    down.set_nodelay(true)?;
    for (from, to) in [(down.try_clone()?, up.try_clone()?), (up, down)] {
        thread::spawn(move || pass_on(from, to));
    }
    Ok((Arc::new(TcpLink::new(reader)?), Box::new(|| Some(Arc::new(writer)))))
}

fn tcp(to: SocketAddr) -> Outcome<TcpStream> {
    let socket = TcpStream::connect(to)?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    let (came, comes) = mpsc::channel::<(Instant, Vec<u8>)>();
    thread::spawn(move || {
        for (when, bytes) in comes {
            thread::sleep((when + DELAY).saturating_duration_since(Instant::now()));
            if to.write_all(&bytes).is_err() {
                return;
            }
        }
    });
    let mut chunk = [0; 4_096];
    while let Ok(read @ 1..) = from.read(&mut chunk) {
        if came.send((Instant::now(), chunk[..read].to_vec())).is_err() {
            return;
        }
    }
}
