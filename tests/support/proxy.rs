//! Somebody on the path who listens: everything that goes through is kept.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use super::PATIENCE;

/// A listener on the path of a number of connections, one after the other or at once.
pub struct Proxy {
    pub port: u16,
    directions: usize,
    kept: Receiver<Recording>,
}

/// One direction of a connection: all that went through.
pub struct Recording {
    pub direction: Direction,
    pub bytes: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    ToServer,
    ToClient,
}

impl Proxy {
    /// Passes this many connections on to the server at `port`.
    pub fn start(port: u16, connections: usize) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let own_port = listener.local_addr().expect("an address").port();
        let (keep, kept) = mpsc::channel();
        thread::spawn(move || {
            for client in listener.incoming().take(connections) {
                let client = client.expect("a connection");
                let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("somebody listens");
                for (direction, from, to) in
                    [(Direction::ToServer, &client, &server), (Direction::ToClient, &server, &client)]
                {
                    let (from, to, keep) = (from.try_clone(), to.try_clone(), keep.clone());
                    thread::spawn(move || {
                        let bytes = pass_on(from.expect("a socket"), to.expect("a socket"));
                        keep.send(Recording { direction, bytes })
                    });
                }
            }
        });
        Self { port: own_port, directions: 2 * connections, kept }
    }

    /// When all connections have ended: what went through, each direction by itself.
    pub fn kept(self) -> Vec<Recording> {
        (0..self.directions).map(|_| self.kept.recv_timeout(PATIENCE).expect("a connection that ended")).collect()
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) -> Vec<u8> {
    let (mut all, mut chunk) = (Vec::new(), [0; 4_096]);
    while let Ok(read @ 1..) = from.read(&mut chunk) {
        all.extend_from_slice(&chunk[..read]);
        if to.write_all(&chunk[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    all
}
