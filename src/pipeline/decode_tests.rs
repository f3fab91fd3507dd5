//! What is decoded, what is told of what is not, and what the canvas shows afterwards.

use super::*;
use crate::codec::testing::{self, Random, SAMPLINGS};
use crate::pipeline::show::Show;
use crate::pipeline::sink::EncodedSink as _;
use crate::pipeline::track::{Screening, Track};
use crate::slot::Taken;
use eyeline_proto::media::clock::Mapping;
use eyeline_proto::media::hold::{Hold, Latency};
use eyeline_proto::media::schedule::Schedule;
use eyeline_proto::picture::{Sampling, Size};
use eyeline_proto::session::PeerId;
use eyeline_proto::time::MediaTime;
use std::sync::MutexGuard;
use std::sync::mpsc::{self, Receiver};

const SIZE: Size = Size { width: 16, height: 16 };

fn track(peer: u64) -> TrackId {
    TrackId::own(PeerId(peer))
}

/// A picture of one slice.
fn job(picture: u64, size: Size) -> Job {
    let planes = testing::planes(size, Sampling::Grey, picture);
    let mut slice = testing::slice(&planes, &testing::head(size, Sampling::Grey, 80, 0, size.height));
    slice.picture = picture;
    let received = Instant::now();
    Job { slice, present: None, received, released: received }
}

/// Keeps a pool's only thread busy until what it gives is dropped: with a slice of a track whose reel is locked.
fn busy<'a>(pool: &DecoderThreads, reel: &'a Arc<SharedReel>) -> (Inlet, MutexGuard<'a, Reel>) {
    let (inlet, locked) = (pool.inlet(reel.clone()), lock(&reel.reel));
    inlet.lane.push(Waiting { reel: reel.clone(), job: job(0, SIZE) }).unwrap();
    (inlet, locked)
}

fn next(announced: &Announced) -> (TrackId, u64) {
    match announced.take_until(Instant::now() + Duration::from_secs(20), Instant::now) {
        Taken::Value(ready) => (ready.track, ready.picture.picture),
        nothing => panic!("nothing more gets ready: {nothing:?}"),
    }
}

/// A sender that has counted far is started again while decoding is behind: what of it waits, and what comes after its end,
/// takes no place from the pictures of the new one, which are counted from 0.
#[test]
fn a_sender_that_is_started_again_is_seen_at_once_however_far_decoding_is_behind() {
    let (announced, pool) = (FairQueue::newest(), DecoderThreads::new(1).unwrap());
    let blocking = SharedReel::new(track(9), &FairQueue::newest(), &Back::default());
    let (_lane, decoding_is_behind) = busy(&pool, &blocking);
    let [former, newcomer] = [0, 1].map(|peer| SharedReel::new(track(peer), &announced, &Back::default()));
    let (before, after) = (pool.inlet(former.clone()), pool.inlet(newcomer.clone()));
    let larger = Size { width: 32, height: 16 };
    (18_000..18_010).for_each(|picture| before.push(job(picture, larger)));
    former.end();
    (0..5).for_each(|picture| after.push(job(picture, SIZE)));
    // What a thread had in its hands when the sender changed.
    before.push(job(18_010, larger));
    before.settled_in_part(18_010);
    after.push(job(5, SIZE));
    drop(decoding_is_behind);
    while next(&announced) != (track(1), 5) {}
    assert_eq!(former.canvas().size(), Canvas::new().size(), "nothing was drawn");
    assert_eq!(newcomer.canvas().size(), SIZE);
}

#[test]
fn at_the_end_nobody_waits_for_what_is_not_decoded_yet() {
    let (announced, pool) = (FairQueue::newest(), DecoderThreads::new(1).unwrap());
    let (reel, large) = (SharedReel::new(track(0), &announced, &Back::default()), Size { width: 4096, height: 4096 });
    let inlet = pool.inlet(reel);
    let mut large = job(0, large).slice;
    large.count = 41;
    (0..40).for_each(|_| inlet.push(Job { slice: large.clone(), ..job(0, SIZE) }));
    let jobs = pool.shared.jobs.clone();
    drop(pool);
    assert!(jobs.take().is_none(), "what waits is dropped");
}

/// What is told: pictures of which a slice is missed, and `None` where all is to be sent again.
fn told() -> (Back, Receiver<(TrackId, Option<u64>)>) {
    let (back, (sender, receiver)) = (Back::default(), mpsc::channel());
    back.connect(move |command| {
        let told = match command {
            Command::Missed(track, picture) => (track, Some(picture)),
            Command::Refresh(track) => (track, None),
            _ => panic!("something else is told"),
        };
        sender.send(told).unwrap();
    });
    (back, receiver)
}

/// What came of that, of which nothing is known of its middle.
fn part(job: Job) -> Job {
    let len = job.slice.scan().len();
    Job { present: Some((std::iter::once(0..len / 2).collect(), false)), ..job }
}

/// The same with the end of its scan cut off.
fn cut(job: Job) -> Job {
    let mut slice = testing::cut(&job.slice, job.slice.scan().len() / 2);
    slice.picture = job.slice.picture;
    Job { slice, ..job }
}

#[test]
fn of_slices_that_make_room_or_are_passed_over_each_picture_is_told_once_and_of_parts_and_of_what_ended_none() {
    let ((back, told), pool) = (told(), DecoderThreads::new(1).unwrap());
    let blocking = SharedReel::new(track(9), &FairQueue::newest(), &Back::default());
    let (_lane, decoding_is_behind) = busy(&pool, &blocking);
    let [seen, over] = [0, 1].map(|peer| SharedReel::new(track(peer), &FairQueue::newest(), &back));
    let (inlet, ended) = (pool.inlet(seen.clone()), pool.inlet(over.clone()));
    // Room is for all but the first three pictures, of two slices each; the first came in part.
    for picture in 0..(WAITING as u64 / 2 + 3) {
        for _ in 0..2 {
            let job = job(picture, SIZE);
            inlet.push(if picture == 0 { part(job) } else { job });
            ended.push(self::job(picture, SIZE));
        }
    }
    assert_eq!(told.try_iter().filter(|(id, _)| *id == track(0)).collect::<Vec<_>>(), [1, 2].map(|n| (track(0), Some(n))));
    over.end();
    drop(decoding_is_behind);
    // Decoded are the last two; of the others it is told.
    let last = WAITING as u64 / 2 + 2;
    let passed_over: Vec<_> = (3..last - 1).map(|picture| (track(0), Some(picture))).collect();
    let limit = Duration::from_secs(20);
    assert_eq!(passed_over.iter().map(|_| told.recv_timeout(limit).unwrap()).collect::<Vec<_>>(), passed_over);
    drop((inlet, ended, pool));
    assert_eq!(told.try_iter().count(), 0);
}

#[test]
fn what_does_not_decode_or_only_in_part_is_told_and_what_newer_pictures_cover_is_not() {
    let ((back, told), mut decoder) = (told(), Decoder::new().unwrap());
    let reel = SharedReel::new(track(0), &FairQueue::newest(), &back);
    let size = Size { width: 64, height: 64 };
    let mut decode = |job: Job| {
        reel.decode(&mut decoder, &job);
        told.try_iter().collect::<Vec<_>>()
    };
    assert_eq!(decode(job(5, size)), []);
    assert_eq!(decode(cut(job(5, size))), [(track(0), Some(5))], "the same picture may come again");
    assert_eq!(decode(cut(job(5, size))), []);
    assert_eq!((decode(cut(job(4, size))), decode(job(3, size))), (vec![], vec![]), "they are covered");
    assert_eq!(decode(part(job(6, size))), [], "the session knows");
    assert_eq!(decode(cut(job(6, size))), [(track(0), Some(6))]);
    let broken = job(7, size);
    let head = Head { rows: 60, ..broken.slice.head() };
    let slice = Slice::new(7, 0, 1, &head, broken.slice.scan());
    assert_eq!(decode(Job { slice, ..broken }), [(track(0), Some(7))], "its band ends within an MCU");
}

#[test]
fn what_lay_in_the_kernel_is_told() {
    let ((back, told), screening) = (told(), Screening::start(1).unwrap());
    let schedule = Schedule::new(Hold::new(Latency::Auto), false);
    let track = Track::new(track(0), schedule, (&FairQueue::newest(), &back), Some(&screening), None);
    let (mut show, start) = (Show::new(track.clone()), Instant::now());
    let media = |ms: u64| MediaTime::from_nanos(ms * 1_000_000);
    show.clock(Mapping::assumed(start, media(900_000)));
    let mut slice = |picture: u64, caught: u64, came: u64| {
        let mut slice = job(picture, SIZE).slice;
        slice.picture = picture;
        slice.stamp_capture(media(900_000 + caught));
        show.slice(&slice, start + Duration::from_millis(came));
    };
    slice(0, 0, 10);
    slice(1, 33, 3000);
    slice(2, 2990, 3001);
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [(track.id(), Some(1))]);
}

#[test]
fn a_track_that_is_to_be_seen_larger_than_it_was_drawn_is_sent_again() {
    let ((back, told), mut decoder) = (told(), Decoder::new().unwrap());
    let reel = SharedReel::new(track(0), &FairQueue::newest(), &back);
    reel.seen_on(Some(16 * 16));
    reel.decode(&mut decoder, &job(0, Size { width: 64, height: 64 }));
    assert_eq!(reel.canvas.size(), Size { width: 16, height: 16 });
    [16 * 16, 32 * 32, 32 * 32].into_iter().for_each(|pixels| reel.seen_on(Some(pixels)));
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [(track(0), None)]);
}

/// One band of two whole pictures and of five of which only some MCUs are new, in any order and twice, on a track that is seen on
/// so many pixels: what is shown of each MCU is what the newest picture shows there that had it.
#[test]
fn in_whatever_order_pictures_come_each_mcu_is_the_newest() {
    let (mut decoder, mut random) = (Decoder::new().unwrap(), Random(77));
    let size = Size { width: 147, height: 61 };
    for round in 0..60 {
        let sampling = SAMPLINGS[round % 5];
        let (grid, mcu) = (sampling.mcus(size), sampling.mcu());
        let all = (grid.width * grid.height) as usize;
        let reel = SharedReel::new(track(0), &FairQueue::newest(), &Back::default());
        let pixels = [u32::MAX, size.width * size.height / 4, size.width * size.height / 16, 1][random.below(4)];
        reel.seen_on(Some(pixels));
        let (mut jobs, mut alone, mut newest) = (Vec::new(), Vec::new(), vec![0; all]);
        for picture in 0..7 {
            let (planes, head) = (testing::planes(size, sampling, picture), testing::head(size, sampling, 80, 0, size.height));
            let whole = testing::slice(&planes, &head);
            let chosen: Vec<usize> = (0..all).filter(|_| picture % 4 == 0 || random.below(3) == 0).collect();
            let mut slice = if picture % 4 == 0 { whole.clone() } else { testing::packed(&planes, &head, &chosen) };
            slice.picture = picture;
            chosen.iter().for_each(|mcu| newest[*mcu] = picture as usize);
            let only = SharedReel::new(track(0), &FairQueue::newest(), &Back::default());
            only.seen_on(Some(pixels));
            only.decode(&mut decoder, &Job { slice: whole, ..job(0, SIZE) });
            alone.push(only.canvas.view().pixels().to_vec());
            jobs.extend([slice.clone(), slice]);
        }
        for last in (1..jobs.len()).rev() {
            jobs.swap(last, random.below(last + 1));
        }
        jobs.into_iter().for_each(|slice| reel.decode(&mut decoder, &Job { slice, ..job(0, SIZE) }));
        let view = reel.canvas.view();
        let divisor = size.width.div_ceil(view.size().width);
        for (at, pixel) in view.pixels().iter().enumerate() {
            let (x, y) = (at as u32 % view.size().width * divisor, at as u32 / view.size().width * divisor);
            let picture = newest[(y / mcu.height * grid.width + x / mcu.width) as usize];
            assert_eq!(*pixel, alone[picture][at], "round {round}, {sampling:?}, {x} {y}: picture {picture}");
        }
    }
}
