//! What comes out of the thread, at sockets of a host that is this one.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::net::By;
use eyeline_proto::media::jpeg::{segments, tables};
use eyeline_proto::media::rtp::depacketizer::Depacketizer;
use eyeline_proto::media::rtp::packet::Header;
use eyeline_proto::media::rtp::{jpeg, pcm};
use eyeline_proto::picture::{Sampling, Size};
use eyeline_proto::sound::BLOCK_FRAMES;
use eyeline_proto::wire::record::Media;

/// Four ports one after the other: pictures, their reports, sound, its reports.
fn host() -> [UdpSocket; 4] {
    let bind = |port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port));
    loop {
        let first = bind(0).unwrap();
        let port = first.local_addr().unwrap().port();
        if let (true, Ok(a), Ok(b), Ok(c)) = (port < LAST_PORT, bind(port + 1), bind(port + 2), bind(port + 3)) {
            let sockets = [first, a, b, c];
            for socket in &sockets {
                socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            }
            return sockets;
        }
    }
}

fn start(name: &str, port: u16) -> (Rtp, mpsc::Receiver<Event>) {
    let (tell, told) = mpsc::channel();
    let to = Host { name: name.into(), port, by: By::Name };
    let config = Config { to, directory: Directory::new(Media::NONE, Media::NONE), channels: Some(1) };
    (Rtp::start(config, move |event| drop(tell.send(event))).unwrap(), told)
}

fn receive(socket: &UdpSocket) -> Vec<u8> {
    let mut packet = [0; 2000];
    let len = socket.recv(&mut packet).unwrap();
    packet[..len].to_vec()
}

/// Flat grey, of this quality; longer than a packet where each row has a restart marker.
fn grey(quality: u8, sampling: Sampling) -> Vec<u8> {
    let (size, mut jpeg) = (Size { width: 640, height: 480 }, Vec::new());
    tables::header(&mut jpeg, quality, sampling, size, sampling.mcus(size).width as u16);
    let (kept, _) = segments::of(&jpeg).unwrap();
    let mcus = sampling.mcus(size);
    let layout = segments::parse(&kept).unwrap();
    jpeg.extend(segments::grey_scan(&kept, &layout, (mcus.width * mcus.height) as usize).unwrap());
    jpeg.extend([0xFF, tables::EOI]);
    jpeg
}

#[test]
fn pictures_and_sound_come_with_their_reports_and_a_farewell() {
    let [pictures, reports, sound, sound_reports] = host();
    let port = pictures.local_addr().unwrap().port();
    let (rtp, told) = start("127.0.0.1", port);
    let Event::Found { to, from } = told.recv().unwrap() else { panic!("it is an address") };
    assert_eq!((to.port(), from), (port, IpAddr::V4(Ipv4Addr::LOCALHOST)));
    let jpeg = grey(80, Sampling::Yuv420);
    rtp.picture(Picture { captured: Instant::now(), jpeg: jpeg.clone() });
    let samples: Vec<i16> = (0..BLOCK_FRAMES as i16).collect();
    rtp.sound(Block { capture: Instant::now(), channels: 1, samples: samples.clone().into() });
    let mut depacketizer = Depacketizer::default();
    let (mut came, mut packets) = (Vec::new(), 0);
    while came.is_empty() {
        let packet = receive(&pictures);
        let (header, payload) = Header::decode(&packet).unwrap();
        assert_eq!(header.payload_type, jpeg::PAYLOAD_TYPE);
        came = depacketizer.push(&header, payload);
        packets += 1;
    }
    assert!(packets > 1 && came[0].whole && came[0].jpeg == jpeg, "{packets} packets");
    let packet = receive(&sound);
    let (header, payload) = Header::decode(&packet).unwrap();
    let heard: Vec<i16> = payload.chunks_exact(2).map(|pair| i16::from_be_bytes([pair[0], pair[1]])).collect();
    assert_eq!((header.payload_type, heard), (pcm::PAYLOAD_TYPE, samples));
    // Each stream's first report comes with its first packet: nobody waits five seconds for it.
    for socket in [&reports, &sound_reports] {
        assert_eq!(receive(socket)[..2], [0x80, 200]);
    }
    let counts = rtp.counts();
    assert_eq!((counts.pictures, counts.blocks, counts.failed), (1, 1, 0));
    drop(rtp);
    for socket in [&reports, &sound_reports] {
        let last = std::iter::repeat_with(|| receive(socket)).find(|packet| packet[packet.len() - 7] == 203);
        assert!(last.is_some(), "goodbye");
    }
}

#[test]
fn what_was_given_before_the_end_is_sent_and_what_rtp_cannot_carry_is_counted() {
    let [pictures, ..] = host();
    let port = pictures.local_addr().unwrap().port();
    let (rtp, told) = start("127.0.0.1", port);
    assert!(matches!(told.recv(), Ok(Event::Found { .. })));
    rtp.picture(Picture { captured: Instant::now(), jpeg: grey(80, Sampling::Yuv444) });
    while rtp.counts().unfit == 0 {
        std::thread::yield_now();
    }
    rtp.picture(Picture { captured: Instant::now(), jpeg: grey(55, Sampling::Yuv422) });
    drop(rtp);
    let mut depacketizer = Depacketizer::default();
    let came = std::iter::repeat_with(|| receive(&pictures)).find_map(|packet| {
        let (header, payload) = Header::decode(&packet).unwrap();
        depacketizer.push(&header, payload).pop()
    });
    assert!(came.is_some_and(|picture| picture.jpeg == grey(55, Sampling::Yuv422)));
}

#[test]
fn a_host_that_is_not_known_is_said_and_holds_up_nobody() {
    let (rtp, told) = start("nobody.invalid", 5004);
    assert!(matches!(told.recv_timeout(Duration::from_secs(60)), Ok(Event::NotFound(_))));
    rtp.picture(Picture { captured: Instant::now(), jpeg: grey(80, Sampling::Yuv420) });
    drop(rtp);
}
