//! The floor: what the same deliveries cost if all that is done is to write bytes to sockets.
//!
//! No keys, no rooms, no messages: one thread that writes a buffer to each of as many loopback connections in turn, as
//! large as the records of so many deliveries are. What is measured is the kernel's part, which no server can go below
//! without putting more deliveries into each write.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use cfb_chat::chat::SessionNumber;
use cfb_chat::chat::message::{Event, ToClient};
use cfb_chat::chat::name::RoomName;
use cfb_chat::net::timespec;
use cfb_chat::wire::frame::{MAX_FRAME, PREFIX};
use rustix::buffer::spare_capacity;
use rustix::event::epoll;

use super::cpu::{self, Placement};
use super::measures::per_million;
use super::member::PATIENCE;
use super::{Outcome, Setup};

/// What sealing adds to a record, in bytes.
const TAG: usize = 32;

/// What a million deliveries cost at least.
pub(crate) struct Floor {
    pub(crate) sockets: usize,
    /// Deliveries that go into each write.
    pub(crate) together: usize,
    /// Bytes of each envelope.
    pub(crate) envelope: usize,
    /// Bytes of each write.
    pub(crate) bytes: usize,
    pub(crate) cpu_per_million: f64,
}

/// Bytes on the wire of a record with so many deliveries.
fn record_length(together: usize, envelope: usize) -> usize {
    let envelope = vec![7; envelope];
    let event = Event::Said { room: RoomName::lobby(), who: SessionNumber(500), change: 500, envelope };
    let message = ToClient::Event { cursor: 100_000, at: 1_790_000_000_000, event };
    PREFIX + TAG + together * message.encode().len()
}

/// Writes to all sockets in turn until the time is over; this thread reads.
pub(crate) fn measure(setup: &Setup, sockets: usize, together: usize, envelope: usize) -> Outcome<Floor> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let (mut writers, mut readers) = (Vec::new(), Vec::new());
    for _ in 0..sockets {
        let writer = TcpStream::connect_timeout(&listener.local_addr()?, PATIENCE)?;
        writer.set_nodelay(true)?;
        writer.set_write_timeout(Some(PATIENCE))?;
        writers.push(writer);
        let (reader, _) = listener.accept()?;
        reader.set_nonblocking(true)?;
        readers.push(reader);
    }
    let bytes = record_length(together, envelope);
    let (cores, window) = (setup.cores.clone(), setup.window);
    let writing = thread::Builder::new().name("writer".into()).spawn(move || {
        cores.as_server(Placement::Pinned)?;
        write_in_turn(&writers, &vec![7; bytes], window)
    })?;
    setup.cores.as_load(Placement::Pinned)?;
    read_all(readers)?;
    let (written, cpu) = writing.join().map_err(|_| "the writer panicked")??;
    Ok(Floor { sockets, together, envelope, bytes, cpu_per_million: per_million(cpu, written * together as u64) })
}

/// How many writes, and what they cost. The connections end with it.
fn write_in_turn(writers: &[TcpStream], record: &[u8], window: Duration) -> std::io::Result<(u64, Duration)> {
    let (mut written, before, end) = (0, cpu::of_this_thread(), Instant::now() + window);
    while Instant::now() < end {
        for mut writer in writers {
            writer.write_all(record)?;
            written += 1;
        }
    }
    Ok((written, cpu::of_this_thread().saturating_sub(before)))
}

/// Reads until all have ended.
fn read_all(readers: Vec<TcpStream>) -> Outcome<()> {
    let epoll: OwnedFd = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (place, reader) in readers.iter().enumerate() {
        epoll::add(&epoll, reader, epoll::EventData::new_u64(place as u64), epoll::EventFlags::IN)?;
    }
    let mut readers: Vec<Option<TcpStream>> = readers.into_iter().map(Some).collect();
    let (mut open, mut chunk, mut ready) = (readers.len(), vec![0; MAX_FRAME], Vec::with_capacity(1_024));
    while open > 0 {
        ready.clear();
        if epoll::wait(&epoll, spare_capacity(&mut ready), Some(&timespec(PATIENCE)))? == 0 {
            return Err("the writer is stuck".into());
        }
        for event in &ready {
            let place = &mut readers[usize::try_from(event.data.u64())?];
            match place.as_mut().map(|reader| reader.read(&mut chunk)) {
                Some(Ok(0)) => {
                    *place = None;
                    open -= 1;
                }
                Some(Err(error)) if error.kind() != ErrorKind::WouldBlock => return Err(error.into()),
                _ => {}
            }
        }
    }
    Ok(())
}
