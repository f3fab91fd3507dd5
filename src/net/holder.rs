//! Who holds a port: read from `/proc`, to turn "address already in use" into a sentence that helps.
//!
//! Everything here is best effort: another user's processes cannot be looked into, and without `/proc` nobody is found.

use std::fs;
use std::path::Path;

use super::Protocol;

/// Name and process id of somebody who listens on this local port, if that can be found out.
pub(super) fn find(protocol: Protocol, port: u16) -> Option<String> {
    let tables = match protocol {
        Protocol::Udp => ["/proc/net/udp6", "/proc/net/udp"],
        Protocol::Tcp => ["/proc/net/tcp6", "/proc/net/tcp"],
    };
    let inodes: Vec<String> = tables
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| table.lines().filter_map(|line| inode(line, protocol, port)).collect::<Vec<_>>())
        .collect();
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        if !holds(&process.path(), &inodes) {
            return None;
        }
        let name = fs::read_to_string(process.path().join("comm")).ok()?;
        Some(format!("`{}` (process {pid})", name.trim_end()))
    })
}

/// The socket's inode, where a line of `/proc/net/{udp,tcp}{,6}` speaks of a socket waiting on this port.
fn inode(line: &str, protocol: Protocol, port: u16) -> Option<String> {
    const TCP_LISTEN: &str = "0A";
    let mut words = line.split_ascii_whitespace();
    let local = words.nth(1)?;
    let state = words.nth(1)?;
    let inode = words.nth(5)?;
    let (_, hex) = local.rsplit_once(':')?;
    let ours = u16::from_str_radix(hex, 16) == Ok(port) && (protocol == Protocol::Udp || state == TCP_LISTEN);
    ours.then(|| inode.to_owned())
}

fn holds(process: &Path, inodes: &[String]) -> bool {
    let Ok(open) = fs::read_dir(process.join("fd")) else { return false };
    open.flatten().filter_map(|fd| fs::read_link(fd.path()).ok()).any(|target| {
        let target = target.to_string_lossy();
        let inode = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']'));
        inode.is_some_and(|inode| inodes.iter().any(|wanted| wanted == inode))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernels_table_gives_the_inode_of_the_wanted_port_only() {
        let line = "   1: 00000000000000000000000000000000:25D8 00000000000000000000000000000000:0000 0A 00000000:00000000 \
                    00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0";
        assert_eq!(inode(line, Protocol::Tcp, 9688).as_deref(), Some("4711"));
        assert_eq!(inode(line, Protocol::Tcp, 9689), None);
        let established = line.replace(" 0A ", " 01 ");
        assert_eq!(inode(&established, Protocol::Tcp, 9688), None);
        assert_eq!(inode(&established, Protocol::Udp, 9688).as_deref(), Some("4711"));
        assert_eq!(inode("  sl  local_address remote_address st tx_queue", Protocol::Tcp, 9688), None);
    }

    #[test]
    fn our_own_process_is_found_by_its_socket() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("binds");
        let port = socket.local_addr().expect("bound").port();
        let found = find(Protocol::Udp, port).expect("our own /proc is readable");
        assert!(found.contains(&format!("process {}", std::process::id())), "{found}");
    }
}
