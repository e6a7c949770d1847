//! The way from one person to the server, which can be cut.

use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Passes connections on to a server, one after the other, and keeps hold of them.
pub struct Path {
    pub port: u16,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Path {
    pub fn to(server: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let open = Arc::new(Mutex::new(Vec::new()));
        let kept = open.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a connection");
                let server = TcpStream::connect((Ipv4Addr::LOCALHOST, server)).expect("somebody listens");
                let same = |socket: &TcpStream| socket.try_clone().expect("a socket");
                *kept.lock().unwrap_or_else(PoisonError::into_inner) = vec![same(&client), same(&server)];
                for (from, to) in [(same(&client), same(&server)), (server, client)] {
                    thread::spawn(move || pass_on(from, to));
                }
            }
        });
        Self { port, open }
    }

    /// Cuts the connection that there is, without a word to either end.
    pub fn cut(&self) {
        for socket in self.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
