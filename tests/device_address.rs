//! What `ffmpeg` reads from addresses: live, as it comes over one connection, and films that lie there.
//!
//! Needs `ffmpeg` and `ffprobe`. Servers are ffmpeg too, and serve one client each, in real time.

#![allow(clippy::disallowed_methods, reason = "plays in real time")]

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use eyeline::capture::file::address::{self, Address, Connection, Leash, Opened};
use eyeline::capture::file::{Error, Film, Options};
use eyeline::slot::Slot;
use eyeline_proto::picture::{Body, Picture, Sampling, Size};

fn ffmpeg(arguments: &str) -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-v", "error"]).args(arguments.split_whitespace()).stdin(Stdio::null());
    command
}

/// Makes a file by the arguments of an ffmpeg command without input, and names it.
fn film(name: &str, arguments: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("addresses");
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join(name);
    let status = ffmpeg(&format!("-y {arguments}")).arg(&path).status().expect("ffmpeg is needed: apt install ffmpeg");
    assert!(status.success(), "ffmpeg {arguments}");
    path
}

fn size(width: u32, height: u32) -> Size {
    Size { width, height }
}

fn luma(picture: &Picture, x: u32, y: u32) -> u8 {
    let Body::Planes(Sampling::Yuv420, planes) = &picture.body else { panic!("they come as 4:2:0 planes") };
    assert_eq!(planes.len(), Sampling::Yuv420.bytes(picture.size));
    planes[(y * picture.size.width + x) as usize]
}

/// How bright the middle row is at these columns.
fn middle<const N: usize>(picture: &Picture, columns: [u32; N]) -> [u8; N] {
    columns.map(|x| luma(picture, x, picture.size.height / 2))
}

/// A server that serves one client and is gone.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// What ffmpeg makes of these arguments, in real time.
    fn start(arguments: &str) -> Server {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("http://127.0.0.1:{port}");
        let child = ffmpeg(&format!("-re {arguments} -listen 1")).arg(&address).stderr(Stdio::null()).spawn().unwrap();
        Server { child, address }
    }

    fn connect(&mut self) -> Box<Connection> {
        loop {
            match address::connect(Path::new(&self.address), &Options::default(), &Leash::default()) {
                Ok(Opened::Live(connection)) => return connection,
                Ok(Opened::Film) => panic!("it has no length"),
                // Its port is not open yet.
                Err(Error::Address { why, .. }) if why.contains("refused") => {
                    assert!(self.child.try_wait().unwrap().is_none());
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Every picture of a connection to its end, and how long after it was caught it was given out.
fn watch(connection: Connection) -> Vec<(Picture, Duration)> {
    let (pictures, sound) = (Slot::waiting(1000), Slot::dropping(2000));
    let live = Address::open(connection, Arc::clone(&pictures), sound).unwrap();
    let seen = std::iter::from_fn(|| pictures.take()).map(|picture| {
        let late = Instant::now() - picture.captured;
        (picture, late)
    });
    let seen = seen.collect();
    assert!(live.failed().is_none(), "{:?}", live.failed());
    seen
}

#[test]
fn what_comes_live_from_an_address_goes_out_as_it_comes_over_one_connection() {
    let pictures = "-f lavfi -i testsrc2=s=160x90:r=25 -f lavfi -i sine=440 -t 4";
    let mut server = Server::start(&format!("{pictures} -c:v mpeg2video -c:a mp2 -f mpegts"));
    let connection = server.connect();
    assert_eq!((connection.size, connection.rate, connection.channels), (Some(size(160, 90)), Some(25.0), 2));
    let (pictures, sound) = (Slot::newest(), Slot::dropping(2000));
    let live = Address::open(*connection, Arc::clone(&pictures), Arc::clone(&sound)).unwrap();
    let seen: Vec<(Instant, Instant)> =
        std::iter::from_fn(|| pictures.take()).map(|picture| (picture.captured, Instant::now())).collect();
    assert!(seen.len() > 10 && live.failed().is_none(), "{} pictures, {:?}", seen.len(), live.failed());
    assert!(seen.windows(2).all(|pair| pair[0].0 <= pair[1].0));
    assert!(seen.iter().all(|(captured, taken)| captured <= taken));
    let blocks = std::iter::from_fn(|| sound.take()).count();
    assert!(blocks > 100, "{blocks} blocks of sound");
    drop(live);
    let _ = server.child.wait();
    let gone = address::connect(Path::new(&server.address), &Options::default(), &Leash::default());
    let gone = gone.err().map(|error| error.to_string()).unwrap_or_default();
    assert!(gone.starts_with(&format!("cannot read {}: ffmpeg says: ", server.address)) && gone.contains("refused"), "{gone}");
}

#[test]
fn pictures_of_a_format_without_stamps_were_caught_when_they_came() {
    // Ten a second, which ffmpeg takes for 25.
    let mut server = Server::start("-f lavfi -i testsrc2=s=160x90:r=10 -t 4 -c:v mjpeg -f mpjpeg");
    let connection = server.connect();
    assert_eq!((connection.size, connection.rate), (Some(size(160, 90)), None));
    let mut late: Vec<Duration> = watch(*connection).into_iter().map(|(_, late)| late).collect();
    assert!(late.len() >= 38, "{} pictures", late.len());
    late.sort_unstable();
    // By counted stamps half of them would be late by half a second.
    assert!(late[late.len() / 2] < Duration::from_millis(150), "{late:?}");
}

#[test]
fn live_pictures_of_another_shape_are_fitted_into_the_first_ones_with_black_beside_them() {
    let part = |name: &str, size: &str, extra: &str| {
        let path = film(name, &format!("-f lavfi -i color=white:s={size}:r=10:d=1.5 {extra} -c:v libx264 -bf 0 -f mpegts"));
        std::fs::read(path).unwrap()
    };
    let whole = Path::new(env!("CARGO_TARGET_TMPDIR")).join("addresses/turns.ts");
    let parts =
        [part("wide.ts", "320x240", ""), part("tall.ts", "240x320", ""), part("squeezed.ts", "320x240", "-vf setsar=1/2")];
    std::fs::write(&whole, parts.concat()).unwrap();
    let mut server = Server::start(&format!("-i {} -c copy -f mpegts", whole.display()));
    let connection = server.connect();
    assert_eq!(connection.size, Some(size(320, 240)));
    // Tall ones and those with narrow pixels have bars of 70 and 80 columns.
    let columns = [0, 66, 74, 96, 104, 160, 319];
    let seen: Vec<_> = watch(*connection).iter().map(|(picture, _)| middle(picture, columns)).collect();
    let like = |bright: [bool; 7]| {
        seen.iter().filter(|row| row.map(|luma| luma > 200) == bright && row.iter().all(|luma| !(3..200).contains(luma))).count()
    };
    assert!(like([true; 7]) >= 10, "{seen:?}");
    assert!(like([false, false, true, true, true, true, false]) >= 10, "{seen:?}");
    assert!(like([false, false, false, true, true, true, false]) >= 10, "{seen:?}");
}

#[test]
fn live_pictures_woven_of_two_fields_are_taken_apart() {
    let woven = "geq=lum='16+219*gt(mod(X+N*8,64),32)':cb=128:cr=128,tinterlace=mode=interleave_top";
    let coded = "-c:v mpeg2video -q:v 2 -flags +ildct+ilme -f mpegts";
    let mut server = Server::start(&format!("-f lavfi -i color=black:s=64x64:r=50:d=3,{woven} {coded}"));
    let seen = watch(*server.connect());
    let picture = &seen[seen.len() / 2].0;
    let places = (8..55).flat_map(|y| (0..64).map(move |x| (x, y)));
    let combs = places.filter(|&(x, y)| luma(picture, x, y).abs_diff(luma(picture, x, y + 1)) > 100).count();
    assert_eq!(combs, 0);
}

#[test]
fn what_is_transparent_lies_on_black_live_too() {
    let clear = "format=rgba,geq=r=255:g=255:b=255:a='255*gte(X,80)',format=yuva420p";
    let mut server = Server::start(&format!("-f lavfi -i color=white:s=160x120:r=10:d=3,{clear} -c:v ffv1 -f matroska"));
    let seen = watch(*server.connect());
    let picture = &seen[seen.len() / 2].0;
    assert_eq!(middle(picture, [10, 70, 90, 150]).map(|luma| luma > 200), [false, false, true, true]);
    assert!(luma(picture, 10, 60) < 3);
}

/// Answers every request with these bytes; gives the address.
fn web_server(bytes: Vec<u8>) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/film.mkv", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), bytes) = (stream, bytes.clone()) else { return };
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request);
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len());
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&bytes));
            });
        }
    });
    address
}

#[test]
fn a_film_on_a_web_server_is_played_at_its_own_pace() {
    let path = film("web.mkv", "-f lavfi -i testsrc2=s=160x90:r=25:d=1 -c:v ffv1");
    let address = web_server(std::fs::read(path).unwrap());
    assert!(matches!(address::connect(Path::new(&address), &Options::default(), &Leash::default()), Ok(Opened::Film)));
    let pictures = Slot::waiting(2);
    let plan = Film::probe(Path::new(&address), &Options::default()).unwrap();
    let film = Film::open(plan, Arc::clone(&pictures), Slot::waiting(8)).unwrap();
    let times: Vec<Instant> = std::iter::from_fn(|| pictures.take()).map(|picture| picture.captured).collect();
    assert!(times.len() == 25 && film.failed().is_none(), "{} pictures, {:?}", times.len(), film.failed());
    // Where this machine is too busy the film stands still; it never hurries.
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_millis(40)), "{times:?}");
}
