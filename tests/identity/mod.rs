//! Keys on disk, and which server is taken for which: what the programs make, take and refuse, and how they say so.

mod command_line;
mod entry;
mod key_access;
mod key_files;
mod key_refusals;
mod known_servers;
mod odd_disks;
mod openssl;
