//! The floors: the least work that could possibly show the picture, to know
//! what part of a measured latency belongs to the harness and the machine.

use crate::xwin::Window;
use std::io::Read;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

const CHUNK: usize = 1400;

/// y4m from stdin, frame by frame.
struct Y4m {
    input: std::io::StdinLock<'static>,
    width: usize,
    height: usize,
}

impl Y4m {
    fn open() -> Result<Y4m, String> {
        let mut input = std::io::stdin().lock();
        let line = Self::line(&mut input)?;
        let field =
            |tag: char| line.split(' ').skip(1).find_map(|word| word.strip_prefix(tag)?.parse().ok()).ok_or("bad y4m header");
        Ok(Y4m { width: field('W')?, height: field('H')?, input })
    }

    fn line(input: &mut impl Read) -> Result<String, String> {
        let mut line = Vec::new();
        let mut byte = [0];
        while input.read_exact(&mut byte).is_ok() && byte[0] != b'\n' {
            line.push(byte[0]);
        }
        String::from_utf8(line).map_err(|e| e.to_string())
    }

    fn read(&mut self, frame: &mut Vec<u8>) -> Result<bool, String> {
        if !Self::line(&mut self.input)?.starts_with("FRAME") {
            return Ok(false);
        }
        frame.resize(self.width * self.height * 3 / 2, 0);
        Ok(self.input.read_exact(frame).is_ok())
    }
}

fn yuv(pixels: &[u8], width: usize, height: usize) -> turbojpeg::YuvImage<&[u8]> {
    turbojpeg::YuvImage { pixels, width, align: 1, height, subsamp: turbojpeg::Subsamp::Sub2x2 }
}

/// I420 to BGRX, integer BT.601 full range.
fn to_bgrx(i420: &[u8], width: usize, height: usize, out: &mut [u8]) {
    let (luma, chroma) = i420.split_at(width * height);
    let (u, v) = chroma.split_at(width * height / 4);
    for (y, row) in out.chunks_exact_mut(width * 4).enumerate() {
        let half = y / 2 * (width / 2);
        let (u, v) = (&u[half..half + width / 2], &v[half..half + width / 2]);
        for (x, pixels) in row.chunks_exact_mut(8).enumerate() {
            let (cu, cv) = (u[x] as i32 - 128, v[x] as i32 - 128);
            let (r, g, b) = ((cv * 359) >> 8, -((cu * 88 + cv * 183) >> 8), (cu * 454) >> 8);
            for i in 0..2 {
                let l = luma[y * width + x * 2 + i] as i32;
                pixels[i * 4] = (l + b).clamp(0, 255) as u8;
                pixels[i * 4 + 1] = (l + g).clamp(0, 255) as u8;
                pixels[i * 4 + 2] = (l + r).clamp(0, 255) as u8;
            }
        }
    }
}

/// y4m on stdin to the screen: no codec, no network.
pub fn show() -> Result<(), String> {
    let mut input = Y4m::open()?;
    let (width, height) = (input.width, input.height);
    let mut window = Window::open(width, height).map_err(|e| e.to_string())?;
    let mut frame = Vec::new();
    while input.read(&mut frame)? {
        to_bgrx(&frame, width, height, window.pixels());
        window.put_shm().map_err(|e| e.to_string())?;
    }
    Ok(())
}

/// y4m on stdin to UDP. Packets: frame number, part number, part count (u16 each, big endian), JPEG bytes.
pub fn send(to: SocketAddr) -> Result<(), String> {
    let socket = UdpSocket::bind("0.0.0.0:0").map_err(|e| e.to_string())?;
    let mut compressor = turbojpeg::Compressor::new().map_err(|e| e.to_string())?;
    compressor.set_quality(crate::source::QUALITY).map_err(|e| e.to_string())?;
    let mut input = Y4m::open()?;
    let (width, height) = (input.width, input.height);
    let (mut frame, mut packet, mut number) = (Vec::new(), Vec::new(), 0u16);
    while input.read(&mut frame)? {
        let jpeg = compressor.compress_yuv_to_vec(yuv(&frame, width, height)).map_err(|e| e.to_string())?;
        let parts = jpeg.len().div_ceil(CHUNK) as u16;
        for (part, bytes) in jpeg.chunks(CHUNK).enumerate() {
            packet.clear();
            for field in [number, part as u16, parts] {
                packet.extend(field.to_be_bytes());
            }
            packet.extend(bytes);
            let _ = socket.send_to(&packet, to);
        }
        number = number.wrapping_add(1);
    }
    Ok(())
}

/// UDP to the screen.
pub fn recv(listen: SocketAddr) -> Result<(), String> {
    let socket = UdpSocket::bind(listen).map_err(|e| e.to_string())?;
    let size: libc::c_int = 4 << 20;
    // SAFETY: a descriptor we own and an integer of the size given.
    unsafe { libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &size as *const _ as _, 4) };
    let mut decompressor = turbojpeg::Decompressor::new().map_err(|e| e.to_string())?;
    let mut window: Option<Window> = None;
    let mut packet = vec![0; 65536];
    let (mut jpeg, mut current, mut have) = (Vec::<u8>::new(), None, 0u16);
    loop {
        let length = socket.recv(&mut packet).map_err(|e| e.to_string())?;
        if length < 6 {
            continue;
        }
        let field = |i: usize| u16::from_be_bytes([packet[i * 2], packet[i * 2 + 1]]);
        let (number, part, parts) = (field(0), field(1), field(2));
        if current != Some(number) {
            (current, have) = (Some(number), 0);
            jpeg.clear();
        }
        if part != have {
            continue; // lost or out of order: give up on this frame
        }
        have += 1;
        jpeg.extend(&packet[6..length]);
        if have < parts {
            continue;
        }
        let Ok(header) = decompressor.read_header(&jpeg) else { continue };
        let (width, height) = (header.width, header.height);
        if window.as_ref().is_none_or(|w| (w.width, w.height) != (width, height)) {
            window = Some(Window::open(width, height).map_err(|e| e.to_string())?);
        }
        let window = window.as_mut().expect("made above");
        let image =
            turbojpeg::Image { pixels: window.pixels(), width, pitch: width * 4, height, format: turbojpeg::PixelFormat::BGRX };
        if decompressor.decompress(&jpeg, image).is_ok() {
            window.put_shm().map_err(|e| e.to_string())?;
        }
    }
}
