//! Redis: a stream that is appended to with `XADD`, with an append-only file that is synced before each answer.
//! How many commands are under way is `pipeline`'s.

use std::{io::Write as _, net::TcpStream, path::Path};

use anyhow::{Result, bail};

use super::pipeline::{Protocol, Replies};
use crate::events;

/// Synced always; never rewritten meanwhile, and no snapshots: neither is measured.
pub(super) fn configuration(port: u16, folder: &Path) -> String {
    format!(
        "bind 127.0.0.1\nport {port}\ndir {}\nappendonly yes\nappendfsync always\nauto-aof-rewrite-percentage 0\nsave \"\"\n",
        folder.display()
    )
}

/// Its protocol.
pub(super) struct Redis;

impl Protocol for Redis {
    /// A server reads 16 KiB of a connection before it looks at the next one, and syncs once for all that it has read: with these it finds
    /// all that is under way each time.
    fn connections(&self) -> usize {
        16
    }

    fn prepare(&self, _stream: TcpStream) -> Result<()> {
        Ok(())
    }

    fn greet(&self, _stream: &mut TcpStream, _connection: usize) -> Result<()> {
        Ok(())
    }

    fn request(&self, into: &mut Vec<u8>, _connection: usize, number: usize) {
        let payload = events::payload(number);
        let parts = ["XADD", "events", "*", "type", "order:placed", "source", "shop", "payload", &payload];
        // Writing to memory does not fail.
        let _ = write!(into, "*{}\r\n", parts.len());
        for part in parts {
            let _ = write!(into, "${}\r\n{part}\r\n", part.len());
        }
    }

    /// An answer is `$LENGTH`, then the id of the entry.
    fn replies(&self, bytes: &[u8]) -> Result<Replies> {
        let (mut answers, mut used) = (0, 0);
        let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
        while let (Some(length), Some(id)) = (lines.next(), lines.next()) {
            if !length.starts_with(b"$") {
                bail!("Redis refuses: {}", String::from_utf8_lossy(length).trim_end());
            }
            answers += 1;
            used += length.len() + id.len();
        }
        Ok(Replies { answers, used, say: Vec::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_answers_are_counted() {
        let replies = Redis.replies(b"$15\r\n1700000000000-0\r\n$15\r\n17").unwrap();
        assert_eq!((replies.answers, replies.used), (1, 22));
        assert!(Redis.replies(b"-MISCONF no disk\r\n$1\r\n").is_err());
    }
}
