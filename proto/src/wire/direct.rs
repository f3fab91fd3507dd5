//! What a meeting point says to two of its guests so that their datagrams go directly, what it relays between them, and where a guest
//! says that it is: PROTOCOL.md §4.15 to §4.17.

use super::{Error, Reader};
use std::net::{IpAddr, SocketAddr};

/// Addresses at which a guest may be.
pub const MOST_ADDRESSES: usize = 8;

/// Bytes of a relayed connection in one record.
pub const MOST_RELAYED: usize = 4 << 10;

/// Another guest is to be met, at the same time as it is told of us.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendezvous {
    /// The id of its process.
    pub guest: [u8; 16],
    /// Names this attempt of the two.
    pub attempt: u32,
    /// The pre-shared key of the handshake between the two, made for this attempt; the other is told the same.
    pub key: [u8; 32],
    /// The one that reads this dials; else it waits for the other's opening.
    pub dials: bool,
    /// Where it may be, at most [`MOST_ADDRESSES`].
    pub addresses: Vec<SocketAddr>,
}

impl std::fmt::Debug for Rendezvous {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Rendezvous { attempt, dials, addresses, .. } = self;
        write!(f, "Rendezvous {{ attempt {attempt}, dials {dials}, {addresses:?} }}")
    }
}

/// A piece of a connection between two guests that goes through the meeting point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relayed {
    /// The id of the guest that it is for; what the meeting point says is from that guest.
    pub guest: [u8; 16],
    /// Of which attempt of the two.
    pub attempt: u32,
    /// At most [`MOST_RELAYED`]. None: the connection is closed.
    pub bytes: Vec<u8>,
}

/// Appends addresses, how many first.
pub(super) fn encode_addresses(addresses: &[SocketAddr], out: &mut Vec<u8>) {
    debug_assert!(addresses.len() <= MOST_ADDRESSES, "more addresses than are read");
    out.push(addresses.len() as u8);
    for address in addresses {
        match address.ip() {
            IpAddr::V4(ip) => {
                out.push(4);
                out.extend_from_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                out.push(6);
                out.extend_from_slice(&ip.octets());
            }
        }
        out.extend_from_slice(&address.port().to_be_bytes());
    }
}

/// Addresses, at most [`MOST_ADDRESSES`].
pub(super) fn decode_addresses(reader: &mut Reader<'_>) -> Result<Vec<SocketAddr>, Error> {
    let count = usize::from(reader.u8("number of addresses")?);
    if count > MOST_ADDRESSES {
        return Err(reader.invalid("number of addresses", count as u64, 1));
    }
    let mut addresses = Vec::with_capacity(count);
    for _ in 0..count {
        let ip = match reader.u8("address family")? {
            4 => IpAddr::from(reader.array::<4>("address")?),
            6 => IpAddr::from(reader.array::<16>("address")?),
            family => return Err(reader.invalid("address family", u64::from(family), 1)),
        };
        addresses.push(SocketAddr::new(ip, reader.u16("port")?));
    }
    Ok(addresses)
}

impl Rendezvous {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.guest);
        out.extend_from_slice(&self.attempt.to_be_bytes());
        out.extend_from_slice(&self.key);
        out.push(u8::from(self.dials));
        encode_addresses(&self.addresses, out);
    }

    pub(super) fn decode(reader: &mut Reader<'_>) -> Result<Rendezvous, Error> {
        let (guest, attempt, key) = (reader.array("guest")?, reader.u32("attempt")?, reader.array("key")?);
        let dials = match reader.u8("who dials")? {
            flag @ 0..=1 => flag == 1,
            flag => return Err(reader.invalid("who dials", u64::from(flag), 1)),
        };
        let addresses = decode_addresses(reader)?;
        Ok(Rendezvous { guest, attempt, key, dials, addresses })
    }
}

impl Relayed {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        debug_assert!(self.bytes.len() <= MOST_RELAYED, "more bytes than are read");
        out.extend_from_slice(&self.guest);
        out.extend_from_slice(&self.attempt.to_be_bytes());
        out.extend_from_slice(&self.bytes);
    }

    pub(super) fn decode(mut reader: Reader<'_>) -> Result<Relayed, Error> {
        let (guest, attempt, bytes) = (reader.array("guest")?, reader.u32("attempt")?, reader.rest());
        if bytes.len() > MOST_RELAYED {
            return Err(reader.invalid("bytes relayed", bytes.len() as u64, bytes.len()));
        }
        Ok(Relayed { guest, attempt, bytes: bytes.to_vec() })
    }
}
