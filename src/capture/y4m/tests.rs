//! The live source against a real pipe.

use super::*;
use eyeline_proto::picture::Size;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::Write;
use std::time::Duration;

/// After this a test that waits has failed.
const LIMIT: Duration = Duration::from_secs(20);

/// Feeds `parts` into a source with a pause of nobody writing between them only where the pipe is full; gives what came out.
fn fed(parts: Vec<Vec<u8>>) -> (Vec<Picture>, Option<Error>) {
    let (seen, failed, _) = fed_and_counted(parts);
    (seen, failed)
}

/// The same, and how many JPEGs were left out.
fn fed_and_counted(parts: Vec<Vec<u8>>) -> (Vec<Picture>, Option<Error>, u64) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let pictures = Slot::waiting(4);
    let live = Live::open(reader.into(), pictures.clone()).unwrap();
    let writer = std::thread::spawn(move || {
        for part in parts {
            if writer.write_all(&part).is_err() {
                return;
            }
        }
    });
    let seen = std::iter::from_fn(|| pictures.take()).collect();
    let (failed, left_out) = (live.failed(), live.left_out());
    drop(live);
    writer.join().unwrap();
    (seen, failed, left_out)
}

fn planes(picture: &Picture) -> (Sampling, &[u8]) {
    match &picture.body {
        Body::Planes(sampling, planes) => (*sampling, planes),
        Body::Jpeg(_) => panic!("a y4m stream has planes"),
    }
}

fn y4m(header: &str, pictures: &[Vec<u8>]) -> Vec<u8> {
    let mut stream = format!("YUV4MPEG2 {header}\n").into_bytes();
    for picture in pictures {
        stream.extend(b"FRAME\n");
        stream.extend(picture);
    }
    stream
}

#[test]
fn full_range_pictures_come_out_as_they_went_in() {
    let pictures: Vec<Vec<u8>> = (0..5u8).map(|k| (0..5 * 3 + 2 * 3 * 2).map(|x| x * 9 + k).collect()).collect();
    let (seen, failed) = fed(vec![y4m("W5 H3 F25:1 C420jpeg XCOLORRANGE=FULL", &pictures)]);
    assert!(failed.is_none());
    assert_eq!(seen.len(), 5);
    for (seen, sent) in seen.iter().zip(&pictures) {
        assert_eq!((planes(seen), seen.size), ((Sampling::Yuv420, &sent[..]), Size { width: 5, height: 3 }));
    }
}

#[test]
fn limited_range_is_widened_for_luma_and_chroma_alike_however_it_arrives() {
    let picture = [vec![16, 235, 16, 235], vec![128, 16], vec![128, 240]].concat();
    let stream = y4m("W2 H2 C422 It", &[picture.clone(), picture]);
    let bytewise = stream.iter().map(|&byte| vec![byte]).collect();
    for parts in [vec![stream.clone()], bytewise] {
        let (seen, failed) = fed(parts);
        // 4:2:2 of 2x2 has chroma of 1x2.
        assert!(failed.is_none());
        assert_eq!(seen.len(), 2);
        for seen in &seen {
            assert_eq!(planes(seen), (Sampling::Yuv422, &[0, 255, 0, 255, 128, 1, 128, 255][..]));
        }
    }
}

#[test]
fn every_truncation_gives_the_whole_pictures_before_it_and_ends() {
    let stream = y4m("W4 H2 Cmono XCOLORRANGE=FULL", &[vec![1; 8], vec![2; 8]]);
    let frames: Vec<usize> = (1..=2).map(|k| stream.len() - (2 - k) * 14).collect();
    for end in 0..=stream.len() {
        let (seen, failed) = fed(vec![stream[..end].to_vec()]);
        assert_eq!(seen.len(), frames.iter().filter(|&&whole| whole <= end).count(), "cut at {end}");
        match end {
            0 => assert!(matches!(failed, Some(Error::Nothing))),
            1..9 => assert!(matches!(failed, Some(Error::Unknown))),
            _ if seen.is_empty() => assert!(failed.is_some(), "cut at {end}"),
            _ => assert!(failed.is_none(), "cut at {end}: {failed:?}"),
        }
    }
}

#[test]
fn what_is_neither_is_told_and_so_is_a_stream_out_of_step() {
    assert!(matches!(fed(vec![b"RIFF....WAVE".to_vec()]).1, Some(Error::Unknown)));
    assert!(matches!(fed(vec![y4m("W4 H2 C420p10", &[])]).1, Some(Error::Colour(_))));
    assert!(matches!(fed(vec![[&b"YUV4MPEG2 "[..], &[b'X'; 10_000]].concat()]).1, Some(Error::Header(_))));
    let longer = y4m("W4 H2 Cmono", &[vec![1; 8], vec![2; 9], vec![3; 8]]);
    let (seen, failed) = fed(vec![longer]);
    assert!(matches!(failed, Some(Error::Step(2))), "{failed:?}");
    assert_eq!(seen.len(), 2);
}

#[test]
fn a_picture_is_stamped_when_it_begins_and_a_silent_pipe_can_be_left() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let (pictures, same_pipe) = (Slot::newest(), reader.try_clone().unwrap());
    let live = Live::open(reader.into(), pictures.clone()).unwrap();
    let mut write = |bytes: &[u8]| {
        writer.write_all(bytes).unwrap();
        // Until it is read.
        while poll(&mut [PollFd::new(same_pipe.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO).unwrap() > 0 {
            std::thread::yield_now();
        }
    };
    write(b"YUV4MPEG2 W4 H2 F50:1 Cmono\n");
    let before = Instant::now();
    write(b"FRAME\n1234");
    // Whoever has read this has stamped what was read before it.
    write(b"56");
    let after = Instant::now();
    write(b"78");
    let picture = pictures.take().unwrap();
    assert!((before..after).contains(&picture.captured));
    assert_eq!(live.header().rate(), Rate::new(50, 1));
    let (end, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        drop(live);
        end.send(())
    });
    ended.recv_timeout(LIMIT).expect("the writer's end is still open and silent");
    drop(writer);
    assert!(pictures.is_closed());
}

/// A flat JPEG of this width and three quarters the height.
fn flat(level: u8, width: usize, format: turbojpeg::PixelFormat) -> Vec<u8> {
    let (height, bytes) = (width * 3 / 4, format.size());
    let pixels = vec![level; width * height * bytes];
    let image = turbojpeg::Image { pixels: &pixels[..], width, pitch: width * bytes, height, format };
    let subsamp = if format == turbojpeg::PixelFormat::GRAY { turbojpeg::Subsamp::Gray } else { turbojpeg::Subsamp::Sub2x2 };
    turbojpeg::compress(image, 80, subsamp).unwrap().to_vec()
}

fn coloured(level: u8) -> Vec<u8> {
    flat(level, 64, turbojpeg::PixelFormat::RGB)
}

/// The JPEGs that came out must be these.
fn assert_jpegs(seen: &[Picture], sent: &[&[u8]]) {
    assert_eq!(seen.len(), sent.len());
    for (seen, sent) in seen.iter().zip(sent) {
        let Body::Jpeg(jpeg) = &seen.body else { panic!("a JPEG stays one") };
        assert!(&jpeg[..] == *sent);
    }
}

#[test]
fn jpegs_are_passed_through_byte_for_byte_and_progressive_ones_refused() {
    let sent: Vec<Vec<u8>> = [10, 100, 200].map(coloured).into();
    let (seen, failed) = fed(vec![sent[0].clone(), vec![0; 7], sent[1].clone(), sent[2].clone()]);
    assert!(failed.is_none());
    assert_jpegs(&seen, &[&sent[0], &sent[1], &sent[2]]);
    assert_eq!(seen[0].size, Size { width: 64, height: 48 });
    let mut progressive = sent[0].clone();
    let frame = progressive.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    progressive[frame + 1] = 0xC2;
    assert!(matches!(fed(vec![progressive.clone()]).1, Some(Error::Jpeg("progressive"))));
    let (seen, failed, left_out) = fed_and_counted(vec![sent[0].clone(), progressive, sent[1].clone()]);
    assert!(failed.is_none(), "one among good ones costs itself");
    assert_eq!(left_out, 1);
    assert_jpegs(&seen, &[&sent[0], &sent[1]]);
}

#[test]
fn jpegs_that_break_off_are_counted_each_once() {
    let [one, other] = [10, 100].map(coloured);
    let torn = |at: usize| [&one[..one.len() / 2], &[0xFF, 0x01], &one[at..]].concat();
    let parts =
        vec![one.clone(), one[..one.len() - 9].to_vec(), other.clone(), torn(one.len() / 2), other.clone(), other[..50].to_vec()];
    let (seen, failed, left_out) = fed_and_counted(parts);
    assert!(failed.is_none());
    assert_eq!(left_out, 3, "cut off before the next, a marker in the scan that is none, and cut off at the end");
    assert_jpegs(&seen, &[&one, &other, &other]);
}

#[test]
fn a_gain_map_behind_each_picture_is_no_picture() {
    let (main, map) = (coloured(100), flat(77, 16, turbojpeg::PixelFormat::GRAY));
    let (seen, failed) = fed(vec![[main.clone(), map].concat(); 5]);
    assert!(failed.is_none());
    assert_jpegs(&seen, &[&main[..]; 5]);
}

#[test]
fn line_ends_and_the_heads_of_a_multipart_stream_are_no_damage() {
    let jpeg = coloured(100);
    let answer = b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=b\r\n\r\n".to_vec();
    let head =
        |first: &str| format!("{first}--b\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\n\r\n", jpeg.len()).into_bytes();
    for parts in [
        vec![vec![b'\n'], jpeg.clone(), jpeg.clone()],
        vec![head(""), jpeg.clone(), head("\r\n"), jpeg.clone(), b"\r\n--b--\r\n".to_vec()],
        vec![answer, head("\r\n"), jpeg.clone(), head("\r\n"), jpeg.clone()],
    ] {
        let (seen, failed) = fed(parts);
        assert!(failed.is_none(), "{failed:?}");
        assert_jpegs(&seen, &[&jpeg, &jpeg]);
    }
}

#[test]
fn input_without_a_picture_is_a_failure() {
    let jpeg = coloured(100);
    for parts in [
        vec![y4m("W4 H2 Cmono", &[])],
        vec![jpeg[..jpeg.len() - 9].to_vec()],
        vec![vec![0xFF, 0xD8], vec![7; 9000]],
        vec![b"--- a diff\n+++ of files\n".to_vec()],
    ] {
        let (seen, failed) = fed(parts);
        assert!(seen.is_empty() && matches!(failed, Some(Error::NoPicture)), "{failed:?}");
    }
}

#[test]
fn pixels_that_are_not_square_and_pictures_that_lie_on_their_side_say_so() {
    let (seen, failed) = fed(vec![y4m("W4 H2 A64:45 Cmono", &[vec![1; 8]])]);
    assert!(failed.is_none());
    assert_eq!(seen[0].view.aspect, (64, 45));
    let jpeg = coloured(100);
    let exif = b"\xFF\xE1\0\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    let (seen, failed) = fed(vec![[&jpeg[..2], exif, &jpeg[2..]].concat()]);
    assert!(failed.is_none());
    assert_eq!((seen[0].size, seen[0].seen()), (Size { width: 64, height: 48 }, Size { width: 48, height: 64 }));
}

#[test]
fn a_jpeg_larger_than_the_buffer_is_taken_whole() {
    let scan = vec![0x55; 3 * CHUNK];
    let head: &[u8] = &[0xFF, 0xD8, 0xFF, 0xC0, 0, 11, 8, 0, 16, 0, 16, 1, 1, 0x11, 0, 0xFF, 0xDA, 0, 8, 1, 1, 0, 0, 63, 0];
    let large = [head, &scan, &[0xFF, 0xD9]].concat();
    let (seen, failed) = fed(vec![large.clone(), large.clone()]);
    assert!(failed.is_none());
    assert_eq!(seen.iter().filter(|seen| matches!(&seen.body, Body::Jpeg(jpeg) if jpeg[..] == large[..])).count(), 2);
}
