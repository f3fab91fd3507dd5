use super::*;

fn webcam() -> Offers {
    Offers {
        exposure_auto: true,
        exposure: Some(Range { min: 3, max: 2047, step: 1 }),
        keep_fps: true,
        zoom: Some(Range { min: 100, max: 500, step: 1 }),
        focus_auto: true,
        focus: Some(Range { min: 0, max: 250, step: 5 }),
    }
}

fn exposed(micros: u64) -> Controls {
    Controls { exposure: Some(Exposure::Time(Duration::from_micros(micros))), ..Controls::default() }
}

fn zoomed(zoom: Zoom) -> Controls {
    Controls { zoom: Some(zoom), ..Controls::default() }
}

fn focused(focus: Focus) -> Controls {
    Controls { focus: Some(focus), ..Controls::default() }
}

/// What is set for these wishes but what nobody wished: each control with the numbers that are tried.
fn set(wishes: &Controls, offers: &Offers) -> Result<Vec<(u32, [i64; 2])>, String> {
    let all = Settings::new(wishes, offers)?;
    Ok(all.0.iter().filter(|it| it.flag.is_some()).map(|it| (it.control, it.values)).collect())
}

#[test]
fn a_time_of_exposure_makes_the_camera_manual_first() {
    assert_eq!(set(&exposed(10_000), &webcam()), Ok(vec![(EXPOSURE_AUTO, [1, 2]), (EXPOSURE, [100; 2])]));
    assert_eq!(set(&exposed(33_333), &webcam()).unwrap()[1], (EXPOSURE, [333; 2]));
    let manual = Offers { exposure_auto: false, ..webcam() };
    assert_eq!(set(&exposed(10_000), &manual), Ok(vec![(EXPOSURE, [100; 2])]));
    let auto = Controls { exposure: Some(Exposure::Auto), ..Controls::default() };
    assert_eq!(set(&auto, &webcam()), Ok(vec![(EXPOSURE_AUTO, [3, 0])]));
    assert_eq!(set(&auto, &manual).unwrap_err(), "takes --exposure 0.3ms to 204.7ms, and nothing else");
    let fixed = Offers { exposure: None, ..webcam() };
    assert_eq!(set(&exposed(10_000), &fixed).unwrap_err(), "takes --exposure auto, and nothing else");
}

#[test]
fn what_is_beyond_is_refused_with_what_could_be() {
    for (micros, wish) in [(1_000_000, "1s"), (100, "0.1ms"), (204_800, "204.8ms")] {
        let why = set(&exposed(micros), &webcam()).unwrap_err();
        assert_eq!(why, format!("takes --exposure auto, 0.3ms to 204.7ms, not {wish}"));
    }
    let why = |wishes| set(&wishes, &webcam()).unwrap_err();
    assert_eq!(why(zoomed(Zoom::Hundredths(650))), "takes --zoom 100 to 500 (1x to 5x), not 6.5x");
    assert_eq!(why(zoomed(Zoom::At(99))), "takes --zoom 100 to 500 (1x to 5x), not 99");
    assert_eq!(why(focused(Focus::At(-1))), "takes --focus auto, 0 (infinity) to 250 (near), not -1");
    for wishes in [exposed(10_000), zoomed(Zoom::At(100)), focused(Focus::Auto), focused(Focus::Near)] {
        let why = set(&wishes, &Offers::default()).unwrap_err();
        assert!(why.contains("leave it out") && why.contains("--list"), "{why}");
    }
}

#[test]
fn zoom_is_counted_from_the_widest_and_steps_are_kept() {
    let at = |zoom, range| set(&zoomed(zoom), &Offers { zoom: Some(range), ..webcam() }).map(|set| set[0].1[0]);
    let hundreds = Range { min: 100, max: 500, step: 1 };
    assert_eq!([at(Zoom::Hundredths(100), hundreds), at(Zoom::Hundredths(250), hundreds)], [Ok(100), Ok(250)]);
    assert_eq!(at(Zoom::At(7), Range { min: 0, max: 10, step: 3 }), Ok(6));
    assert_eq!(at(Zoom::At(10), Range { min: 0, max: 10, step: 4 }), Ok(8), "the driver has no 12");
    assert!(at(Zoom::Hundredths(200), Range { min: 0, max: 10, step: 1 }).unwrap_err().contains("from 0 to 10, not in times"));
    // What no driver says panics nowhere.
    for (min, max, step) in
        [(i64::MIN, i64::MAX, 1), (i64::MAX, i64::MAX, i64::MAX), (1, i64::MAX, i64::MAX), (5, 1, 0), (-9, 9, -1)]
    {
        let range = Range { min, max, step };
        let _ = [Zoom::At(i64::MIN), Zoom::At(7), Zoom::At(i64::MAX), Zoom::Hundredths(u32::MAX)].map(|zoom| at(zoom, range));
    }
}

#[test]
fn focus_goes_from_infinity_to_near_and_is_taken_from_the_camera_first() {
    let at = |focus| set(&focused(focus), &webcam()).unwrap();
    assert_eq!(at(Focus::Auto), [(FOCUS_AUTO, [1; 2])]);
    assert_eq!(at(Focus::Infinity), [(FOCUS_AUTO, [0; 2]), (FOCUS, [0; 2])]);
    assert_eq!((at(Focus::Near)[1].1[0], at(Focus::At(33))[1].1[0]), (250, 35));
}

#[test]
fn the_rate_is_kept_where_nothing_is_said_and_where_it_is_asked_for_the_camera_must_know_how() {
    let keep = |keep_fps| Controls { keep_fps, ..Controls::default() };
    let numbers = |keep_fps| Settings::new(&keep(keep_fps), &webcam()).unwrap().0[0].values;
    assert_eq!([numbers(None), numbers(Some(true)), numbers(Some(false))], [[0; 2], [0; 2], [1; 2]]);
    assert!(Settings::new(&keep(None), &Offers::default()).is_ok());
    assert!(set(&keep(Some(true)), &Offers::default()).unwrap_err().contains("leave out --keep-fps"));
}

#[test]
fn what_a_camera_offers_is_said_in_the_words_of_the_flags() {
    let lines =
        ["--exposure auto, 0.3ms to 204.7ms", "--zoom     100 to 500 (1x to 5x)", "--focus    auto, 0 (infinity) to 250 (near)"];
    assert_eq!(webcam().lines(), [&lines[..], &["--keep-fps"]].concat());
    assert_eq!(Offers::default().to_string(), "");
    assert_eq!((time(3), time(10_000), time(25_000), time(333)), ("0.3ms".into(), "1s".into(), "2.5s".into(), "33.3ms".into()));
}
