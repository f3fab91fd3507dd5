//! The camera, with the real capture libraries on an emulated driver (`emulated_camera.c`): what it chooses, what comes out
//! of it, and every way a camera is known to fail.
//!
//! Each test runs itself again in a process of its own with the emulation preloaded; the body runs there. Needs a C compiler.
#![allow(clippy::disallowed_methods)] // real devices run in real time

#[path = "support/emulator.rs"]
mod emulator;
#[path = "support/ticks.rs"]
mod ticks;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use emulator::emulator;
use eyeline::capture::camera::{self, Camera, Chosen, Controls, Error, Exposure, Focus, Format, Request, Zoom};
use eyeline::slot::{Slot, Taken};
use eyeline_proto::picture::{Body, Picture, Sampling, Size};
use ticks::Ticks;

const INSIDE: &str = "EYELINE_EMULATED_CAMERA";
const JPEGS: usize = 4;
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// `emulated! { fn name("SETTING" = "value", …) { body } }`: a test whose body runs on the emulated camera.
macro_rules! emulated {
    ($(fn $name:ident($($key:literal = $value:literal),*) $body:block)*) => {$(
        #[test]
        fn $name() {
            if std::env::var_os(INSIDE).is_some() {
                tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_writer(std::io::stderr).init();
                $body
            } else {
                run_inside(stringify!($name), &[$(($key, $value)),*]);
            }
        }
    )*};
}

fn run_inside(name: &str, settings: &[(&str, &str)]) {
    let report = scratch().join(format!("{name}.report"));
    let _ = std::fs::remove_file(&report);
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env("LD_PRELOAD", emulator())
        .env("EMUCAM_JPEGS", jpegs())
        .env("EMUCAM_REPORT", report)
        .env(INSIDE, "1")
        .envs(settings.iter().copied())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}\n{}\n{}", output.status, text(&output.stdout), text(&output.stderr));
    assert!(text(&output.stdout).contains("1 passed"), "{name} did not run: {}", text(&output.stdout));
}

fn scratch() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

/// The emulated camera's pictures: a directory for each size, each picture of another length.
fn jpegs() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let directory = scratch().join("camera-jpegs");
        for (width, height) in [(640, 480), (1280, 720), (704, 504)] {
            let folder = directory.join(format!("{width}x{height}"));
            std::fs::create_dir_all(&folder).unwrap();
            for number in 0..JPEGS {
                let fresh = folder.join(format!("{}.tmp", std::process::id()));
                std::fs::write(&fresh, jpeg(width, height, number)).unwrap();
                std::fs::rename(fresh, folder.join(format!("{number:04}.jpg"))).unwrap();
            }
        }
        directory
    })
}

fn jpeg(width: usize, height: usize, number: usize) -> Vec<u8> {
    let pixel = |i: usize| {
        let noise = (i.wrapping_mul(2_654_435_761) >> 13) % (8 << number);
        (i / 3 % width / 8 + i / 3 / width / 8 + noise) as u8
    };
    let pixels: Vec<u8> = (0..width * height * 3).map(pixel).collect();
    let image = turbojpeg::Image { pixels: &pixels[..], width, pitch: width * 3, height, format: turbojpeg::PixelFormat::RGB };
    turbojpeg::compress(image, 80, turbojpeg::Subsamp::Sub2x1).unwrap().to_vec()
}

/// The source pictures of one size, as the emulation reads them.
fn sources(size: Size) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(std::env::var_os("EMUCAM_JPEGS").unwrap()).join(size.to_string());
    (0..JPEGS).map(|number| std::fs::read(folder.join(format!("{number:04}.jpg"))).unwrap()).collect()
}

fn report() -> String {
    std::fs::read_to_string(std::env::var_os("EMUCAM_REPORT").unwrap()).unwrap_or_default()
}

/// Waits until the emulation has reported what is wanted.
fn reported(wanted: impl Fn(&str) -> bool) {
    let until = Instant::now() + PATIENCE;
    while !wanted(&report()) {
        assert!(Instant::now() < until, "the camera reported no more than:\n{}", report());
        std::thread::yield_now();
    }
}

/// Nobody has the camera open any more.
fn is_let_go(report: &str) -> bool {
    report.matches("open").count() == report.matches("close").count()
}

fn open(request: &Request) -> (Camera, Arc<Slot<Picture>>) {
    let pictures = Slot::newest();
    let setup = Camera::probe(request).unwrap();
    (Camera::open(&setup, pictures.clone()).unwrap(), pictures)
}

/// The next picture.
fn next(pictures: &Slot<Picture>) -> Picture {
    match pictures.take_until(Instant::now() + PATIENCE, Instant::now) {
        Taken::Value(picture) => picture,
        Taken::TimedOut => panic!("no picture came"),
        Taken::Closed => panic!("the camera failed"),
    }
}

fn is_a_source(picture: &Picture) {
    let Body::Jpeg(jpeg) = &picture.body else { panic!("not a JPEG") };
    let sources = sources(picture.size);
    assert!(sources.iter().any(|source| source[..] == jpeg[..]), "a picture of {} bytes is none of the camera's", jpeg.len());
}

fn size(width: u32, height: u32) -> Option<Size> {
    Some(Size { width, height })
}

/// Checks the emulation's pattern, limited range as it comes and full range as it must go on.
fn is_the_pattern(picture: &Picture) {
    let Body::Planes(sampling, planes) = &picture.body else { panic!("not planes") };
    assert_eq!(planes.len(), sampling.bytes(picture.size));
    let (width, height) = (picture.size.width as usize, picture.size.height as usize);
    let stretch = |y: usize| ((y as f64 - 16.0) * 255.0 / 219.0 + 0.5).floor().clamp(0.0, 255.0) as u8;
    for y in 0..height {
        let row: Vec<u8> = (0..width).map(|x| stretch((x + y) & 255)).collect();
        assert_eq!(planes[y * width..][..width], row, "row {y}");
    }
    let (blue, red) = planes[width * height..].split_at((planes.len() - width * height) / 2);
    assert!(blue.iter().all(|&c| c == 85) && red.iter().all(|&c| c == 164), "chroma is {} and {}", blue[0], red[0]);
}

fn wishes() -> Controls {
    Controls {
        exposure: Some(Exposure::Time(Duration::from_millis(10))),
        keep_fps: Some(true),
        zoom: Some(Zoom::Hundredths(250)),
        focus: Some(Focus::At(31)),
    }
}

/// Whether the camera was set to [`wishes`] last.
fn ends_with_the_wishes(report: &str) -> bool {
    let set: Vec<&str> =
        report.lines().filter(|line| line.contains(' ') && !line.starts_with("open") && !line.starts_with("close")).collect();
    set.ends_with(&["auto_exposure 1", "exposure 100", "dynamic_framerate 0", "zoom 250", "auto_focus 0", "focus 30"])
}

fn after_the_last<'a>(line: &str, report: &'a str) -> &'a str {
    report.rsplit_once(line).map_or("", |(_, after)| after)
}

/// Takes pictures, with `check` on each, until the stream was made anew and gives pictures again.
fn until_mended(camera: &Camera, pictures: &Slot<Picture>, check: impl Fn(&Picture)) {
    while camera.counters().reopened == 0 {
        if let Taken::Value(picture) = pictures.take_until(Instant::now() + Duration::from_millis(100), Instant::now) {
            check(&picture);
        }
        assert_eq!(camera.failed(), None);
    }
    (0..5).for_each(|_| check(&next(pictures)));
}

emulated! {
    fn the_default_is_mjpeg_720p_byte_for_byte_and_probing_leaves_the_light_off() {
        let setup = Camera::probe(&Request::default()).unwrap();
        assert!(!report().contains("streamon"), "{}", report());
        let pictures = Slot::newest();
        let opening = Instant::now();
        let camera = Camera::open(&setup, pictures.clone()).unwrap();
        let Chosen { device, size: chosen, fps, format, why, .. } = camera.chosen().clone();
        assert_eq!(device, "Emulated Camera (/dev/video0)");
        assert_eq!((Some(chosen), fps, format), (size(1280, 720), 30, Format::Mjpeg));
        assert!(why.starts_with("the largest size up to 1280x720 that reaches 24 fps"), "{why}");
        let mut last = None;
        for _ in 0..10 {
            let picture = next(&pictures);
            is_a_source(&picture);
            // The first comes a tenth of a second after the opening, so a stamp read by another clock lies before it or ahead.
            assert!(opening < picture.captured && picture.captured <= Instant::now());
            assert!(last.is_none_or(|last| last < picture.captured));
            last = Some(picture.captured);
        }
        assert!(report().contains("dynamic_framerate 0"), "{}", report());
        assert_eq!(camera.counters().damaged, 0);
        let stopping = Ticks::start();
        drop(camera);
        assert!(stopping.elapsed() < Duration::from_secs(1), "stopping took {:?}", stopping.elapsed());
        // It lets go by itself: at once, or where the machine kept it from running for 200 ms, as soon as it runs.
        reported(|report| report.contains("streamoff") && is_let_go(report));
    }

    fn a_camera_left_in_h264_at_a_broken_rate_opens("EMUCAM_CURRENT" = "H264", "EMUCAM_CURRENT_RATE" = "30000/1001") {
        let (camera, pictures) = open(&Request { size: size(640, 480), ..Request::default() });
        assert_eq!((camera.chosen().format, camera.chosen().fps), (Format::Mjpeg, 30));
        is_a_source(&next(&pictures));
    }

    fn a_camera_with_broken_rates_alone_is_read_directly("EMUCAM_RATES" = "60000/1001", "EMUCAM_DAMAGE_EVERY" = "5") {
        let (camera, pictures) = open(&Request::default());
        assert_eq!(camera.chosen().fps, 60);
        (0..20).for_each(|_| is_a_source(&next(&pictures)));
        assert!(camera.counters().damaged >= 3 && camera.counters().missed.is_some(), "{:?}", camera.counters());
    }

    fn padded_yuyv_rows_become_tight_full_range_planes("EMUCAM_FORMATS" = "YUYV", "EMUCAM_PAD" = "64") {
        let (camera, pictures) = open(&Request::default());
        assert_eq!((camera.chosen().format, Some(camera.chosen().size)), (Format::Yuyv, size(640, 480)));
        let picture = next(&pictures);
        assert!(matches!(picture.body, Body::Planes(Sampling::Yuv422, _)));
        is_the_pattern(&picture);
    }

    fn padding_the_driver_does_not_admit_is_found("EMUCAM_FORMATS" = "YUYV", "EMUCAM_PAD" = "64", "EMUCAM_HIDE_STRIDE" = "1") {
        let (_camera, pictures) = open(&Request::default());
        is_the_pattern(&next(&pictures));
    }

    fn padded_nv12_becomes_tight_full_range_planes("EMUCAM_FORMATS" = "NV12", "EMUCAM_PAD" = "32") {
        let (camera, pictures) = open(&Request::default());
        assert_eq!((camera.chosen().format, Some(camera.chosen().size)), (Format::Nv12, size(1280, 720)));
        let picture = next(&pictures);
        assert!(matches!(picture.body, Body::Planes(Sampling::Yuv420, _)));
        is_the_pattern(&picture);
    }

    fn sizes_in_steps_give_the_size_asked_for("EMUCAM_STEPWISE" = "1") {
        let (camera, pictures) = open(&Request { size: size(701, 501), fps: Some(30), ..Request::default() });
        assert_eq!(Some(camera.chosen().size), size(704, 504));
        assert_eq!(camera.chosen().why, "the nearest to the 701x501 asked for");
        is_a_source(&next(&pictures));
        drop(camera);
        reported(is_let_go);
        let default = Camera::probe(&Request::default()).unwrap();
        assert_eq!((Some(default.chosen().size), default.chosen().fps), (size(1280, 720), 60));
    }

    fn stamps_from_the_future_count_as_now("EMUCAM_STAMP_MS" = "700") {
        let (_camera, pictures) = open(&Request::default());
        (0..5).for_each(|_| assert!(next(&pictures).captured <= Instant::now()));
    }

    fn an_unplugged_camera_fails_for_good_and_opens_again_when_it_is_back("EMUCAM_UNPLUG_AT" = "20", "EMUCAM_REPLUG" = "1") {
        let setup = Camera::probe(&Request::default()).unwrap();
        let pictures = Slot::newest();
        let camera = Camera::open(&setup, pictures.clone()).unwrap();
        while pictures.take().is_some() {}
        let device = camera.chosen().device.clone();
        assert_eq!(camera.failed(), Some(Error::Unplugged { device }));
        drop(camera);
        let (camera, pictures) = open(setup.again());
        is_a_source(&next(&pictures));
        assert_eq!(camera.failed(), None);
    }

    fn damaged_pictures_are_left_out_and_counted("EMUCAM_DAMAGE_EVERY" = "3") {
        let (camera, pictures) = open(&Request::default());
        (0..15).for_each(|_| is_a_source(&next(&pictures)));
        assert!(camera.counters().damaged >= 5, "{:?}", camera.counters());
        assert_eq!(camera.counters().reopened, 0);
    }

    fn an_interrupted_wait_is_mended("EMUCAM_FAIL_AT" = "10", "EMUCAM_FAIL_ERRNO" = "4") {
        let (camera, pictures) = open(&Request::default());
        until_mended(&camera, &pictures, is_a_source);
        assert_eq!(camera.counters().reopened, 1);
    }

    fn an_empty_wait_is_mended("EMUCAM_FAIL_AT" = "10", "EMUCAM_FAIL_ERRNO" = "11", "EMUCAM_FORMATS" = "YUYV") {
        let (camera, pictures) = open(&Request::default());
        until_mended(&camera, &pictures, is_the_pattern);
        assert_eq!(camera.counters().reopened, 1);
    }

    fn an_error_on_a_directly_read_camera_is_mended("EMUCAM_FAIL_AT" = "10", "EMUCAM_RATES" = "30000/1001") {
        let (camera, pictures) = open(&Request::default());
        until_mended(&camera, &pictures, is_a_source);
        assert_eq!(camera.counters().reopened, 1);
    }

    fn a_camera_that_gives_nothing_but_errors_fails_and_says_them("EMUCAM_FAIL_FROM" = "10") {
        let (camera, pictures) = open(&Request::default());
        while pictures.take().is_some() {}
        let Some(Error::Driver { cause, .. }) = camera.failed() else { panic!("{:?}", camera.failed()) };
        assert!(cause.contains("os error 5"), "{cause}");
    }

    fn a_stalled_camera_is_woken_and_goes_on("EMUCAM_STALL_AT" = "15") {
        let (camera, pictures) = open(&Request::default());
        let (started, ticks) = (Instant::now(), Ticks::start());
        until_mended(&camera, &pictures, is_a_source);
        let (took, at_least) = (started.elapsed(), ticks.elapsed());
        assert!(took.as_secs() >= 2 && at_least.as_secs() < 5, "it took {took:?}, {at_least:?} of them waiting");
    }

    fn a_camera_that_stalls_again_is_opened_anew("EMUCAM_STALL_AT" = "15", "EMUCAM_STALLS" = "2") {
        let (camera, pictures) = open(&Request::default());
        (0..10).for_each(|_| is_a_source(&next(&pictures)));
        while camera.counters().reopened < 2 {
            let _ = pictures.take_until(Instant::now() + Duration::from_millis(100), Instant::now);
        }
        (0..5).for_each(|_| is_a_source(&next(&pictures)));
        assert!(report().matches("open 0").count() >= 5, "it was opened only once: {}", report());
    }

    fn a_driver_that_hangs_is_left_behind_when_the_camera_is_dropped("EMUCAM_HANG_AT" = "10") {
        let (camera, pictures) = open(&Request::default());
        is_a_source(&next(&pictures));
        reported(|report| report.contains("hangs"));
        let (stopping, ticks) = (Instant::now(), Ticks::start());
        drop(camera);
        let (took, at_least) = (stopping.elapsed(), ticks.elapsed());
        assert!(took.as_millis() >= 150 && at_least.as_millis() < 2000, "stopping took {took:?}, {at_least:?} of them waiting");
        assert!(!is_let_go(&report()), "{}", report());
    }

    fn a_driver_that_hangs_for_good_is_told_as_that("EMUCAM_HANG_AT" = "10") {
        let (camera, pictures) = open(&Request::default());
        while pictures.take().is_some() {}
        let device = camera.chosen().device.clone();
        assert_eq!(camera.failed(), Some(Error::Hangs { device }));
    }

    fn strangers_signals_do_not_reach_the_thread_that_waits_for_the_driver() {
        let (_camera, pictures) = open(&Request::default());
        next(&pictures);
        let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten().map(|task| task.path());
        let name = |task: &Path| std::fs::read_to_string(task.join("comm")).unwrap_or_default();
        let reader = tasks.into_iter().find(|task| name(task).trim() == "camera").expect("a thread named camera");
        let status = std::fs::read_to_string(reader.join("status")).unwrap();
        let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap().trim();
        let blocked = u64::from_str_radix(blocked, 16).unwrap();
        let is_blocked = |signal: i32| blocked & (1 << (signal - 1)) != 0;
        for signal in [nix::libc::SIGINT, nix::libc::SIGTERM, nix::libc::SIGCHLD, nix::libc::SIGUSR1, nix::libc::SIGWINCH] {
            assert!(is_blocked(signal), "signal {signal} is let through: {blocked:x}");
        }
        assert!(!is_blocked(nix::libc::SIGURG), "nothing could end a wait");
    }

    fn a_camera_is_found_by_number_name_and_path_and_its_metadata_node_is_none() {
        for which in ["0", "emulated", "/dev/video0"] {
            let setup = Camera::probe(&Request { which: Some(which.into()), ..Request::default() }).unwrap();
            assert_eq!(setup.chosen().device, "Emulated Camera (/dev/video0)");
        }
        for which in ["1", "7", "nothing like it", "/dev/video1", "/dev/null"] {
            let error = Camera::probe(&Request { which: Some(which.into()), ..Request::default() }).unwrap_err();
            assert_eq!(error, Error::Unknown { which: which.into(), there: "Emulated Camera (/dev/video0)".into() });
        }
    }

    fn the_list_shows_every_mode_and_what_is_not_used() {
        let listed = camera::list();
        let [camera] = &listed[..] else { panic!("{listed:?}") };
        let text = camera.to_string();
        for line in ["Emulated Camera (/dev/video0)", "MJPEG 1280x720  30, 29.97, 7.50 fps", "YUYV  1920x1080 5 fps", "not used: H264"] {
            assert!(text.contains(line), "{line} in:\n{text}");
        }
        assert_eq!(camera.note, None);
        assert!(!report().contains("streamon"));
    }

    fn what_is_wished_of_exposure_zoom_and_focus_reaches_the_camera_before_it_streams_and_when_it_comes_back(
        "EMUCAM_UNPLUG_AT" = "20", "EMUCAM_REPLUG" = "1"
    ) {
        let request = Request { controls: wishes(), ..Request::default() };
        let setup = Camera::probe(&request).unwrap();
        assert!(ends_with_the_wishes(&report()) && !report().contains("streamon"), "{}", report());
        let pictures = Slot::newest();
        let camera = Camera::open(&setup, pictures.clone()).unwrap();
        reported(|report| ends_with_the_wishes(after_the_last("streamon", report)));
        while pictures.take().is_some() {}
        drop(camera);
        let before = report().len();
        let again = Camera::probe(setup.again()).unwrap();
        assert!(ends_with_the_wishes(&report()[before..]), "{}", report());
        let pictures = Slot::newest();
        let _camera = Camera::open(&again, pictures.clone()).unwrap();
        is_a_source(&next(&pictures));
        reported(|report| ends_with_the_wishes(after_the_last("streamon", &report[before..])));
    }

    fn a_camera_whose_stream_is_made_anew_is_set_anew("EMUCAM_FORGETS" = "1", "EMUCAM_STALL_AT" = "15") {
        let (camera, pictures) = open(&Request { controls: wishes(), ..Request::default() });
        until_mended(&camera, &pictures, is_a_source);
        assert_eq!(report().matches("streamon").count(), 2, "{}", report());
        reported(|report| ends_with_the_wishes(after_the_last("streamon", report)));
    }

    fn a_camera_that_is_read_directly_is_set_too("EMUCAM_RATES" = "60000/1001", "EMUCAM_FORGETS" = "1") {
        let (_camera, pictures) = open(&Request { controls: wishes(), ..Request::default() });
        is_a_source(&next(&pictures));
        reported(|report| ends_with_the_wishes(after_the_last("streamon", report)));
    }

    fn a_camera_is_left_to_itself_or_given_back_to_itself() {
        drop(open(&Request::default()));
        for word in ["exposure", "focus", "zoom"] {
            assert!(!report().contains(word), "{word} in {}", report());
        }
        let automatic = Controls { exposure: Some(Exposure::Auto), keep_fps: Some(false), focus: Some(Focus::Auto), zoom: None };
        let before = report().len();
        drop(open(&Request { controls: automatic, ..Request::default() }));
        let report = &report()[before..];
        // A UVC camera has no mode in which its iris is chosen, too.
        assert!(["auto_exposure 3", "dynamic_framerate 1", "auto_focus 1"].iter().all(|line| report.contains(line)), "{report}");
        assert!(!report.contains("dynamic_framerate 0"), "{report}");
    }

    fn a_wish_beyond_the_cameras_range_is_refused_with_the_range_before_anything_is_set() {
        let long = Controls { exposure: Some(Exposure::Time(Duration::from_secs(1))), ..Controls::default() };
        let error = Camera::probe(&Request { controls: long, ..Request::default() }).unwrap_err();
        let said = "Emulated Camera (/dev/video0) takes --exposure auto, 0.3ms to 204.7ms, not 1s";
        assert_eq!(error.to_string(), said);
        assert!(!report().contains("exposure"), "{}", report());
    }

    fn a_camera_without_controls_says_so_and_works_where_nothing_is_wished("EMUCAM_CONTROLS" = "0") {
        let zoomed = Controls { zoom: Some(Zoom::Hundredths(200)), ..Controls::default() };
        let error = Camera::probe(&Request { controls: zoomed, ..Request::default() }).unwrap_err();
        assert!(error.to_string().contains("has nothing to set with --zoom: leave it out"), "{error}");
        let (_camera, pictures) = open(&Request::default());
        is_a_source(&next(&pictures));
        assert!(!camera::list()[0].to_string().contains("--"), "{}", camera::list()[0]);
    }

    fn a_wish_that_the_driver_refuses_is_told_before_the_camera_streams("EMUCAM_REFUSES" = "zoom") {
        let error = Camera::probe(&Request { controls: wishes(), ..Request::default() }).unwrap_err();
        assert!(error.to_string().contains("refuses --zoom (Input/output error (os error 5)): leave it out"), "{error}");
    }

    fn the_list_shows_what_can_be_set() {
        let text = camera::list()[0].to_string();
        let lines = ["--exposure auto, 0.3ms to 204.7ms", "--zoom     100 to 500 (1x to 5x)", "--focus    auto, 0 (infinity) to 250 (near)", "--keep-fps"];
        assert!(lines.iter().all(|line| text.contains(line)), "{text}");
    }

    fn a_busy_camera_is_told_from_others("EMUCAM_BUSY" = "1") {
        let error = Camera::probe(&Request::default()).unwrap_err();
        assert!(matches!(&error, Error::Busy { device, .. } if device == "Emulated Camera (/dev/video0)"), "{error:?}");
    }

    fn a_camera_one_may_not_open_names_the_group("EMUCAM_OPEN_ERRNO" = "13") {
        let error = Camera::probe(&Request::default()).unwrap_err();
        assert!(error.to_string().contains("group `video`"), "{error}");
        let listed = camera::list();
        assert!(listed.iter().any(|camera| camera.note.as_ref().is_some_and(|note| note.contains("no permission"))), "{listed:?}");
    }

    fn no_camera_at_all_names_the_test_picture("EMUCAM_NODES" = "0") {
        let error = Camera::probe(&Request::default()).unwrap_err();
        assert_eq!(error, Error::NoCamera { seen: "there is no /dev/video*".into() });
        assert!(error.to_string().contains("--test"));
    }

    fn a_camera_without_a_format_we_use_says_what_it_has("EMUCAM_FORMATS" = "H264,UYVY") {
        let error = Camera::probe(&Request::default()).unwrap_err();
        assert!(error.to_string().contains("H264, UYVY"), "{error}");
    }
}
