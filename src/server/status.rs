//! Status, for the operator.

use std::time::Duration;

use super::service::ServerInfo;
use crate::chat::command::server::shown_span;
use crate::chat::state::ServerCounts;

/// All there is to tell.
pub(super) fn text(counts: &ServerCounts, about: &ServerInfo, waiting: usize) -> String {
    let ServerCounts { sessions, away, rooms, names, messages, deliveries, unread } = counts;
    let memory = resident().map_or("unknown".into(), mib);
    format!(
        "up          {}\n\
         people      {sessions} here, {away} of them reconnecting, in {rooms} rooms; {names} names; room for {}\n\
         messages    {messages}, for {deliveries} readers\n\
         queue       {waiting} changes for the disk, {} for readers that lag\n\
         memory      {memory}",
        shown_span(Duration::from_secs(about.started.elapsed().as_secs())),
        about.room,
        mib(*unread),
    )
}

fn mib(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10) >> 20;
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

/// The process's resident memory, in bytes, where the system tells.
fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size() as u64)
}
