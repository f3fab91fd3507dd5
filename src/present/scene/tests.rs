//! The scene of up to eleven senders whose pictures are a pixel or two.

use super::*;
use std::time::Duration;

const WINDOW: Size = Size { width: 1280, height: 720 };

fn scene(count: u8) -> Scene<u8> {
    let mut scene = Scene::new();
    (0..count).for_each(|id| scene.join(id, format!("camera {id}"), Arc::default()));
    scene
}

fn order(scene: &Scene<u8>) -> Vec<u8> {
    scene.tiles().iter().map(|tile| tile.id).collect()
}

#[test]
fn tiles_stand_in_the_order_of_joining_and_one_alone_moves_when_another_leaves() {
    let mut scene = scene(6);
    assert_eq!(order(&scene), [0, 1, 2, 3, 4, 5]);
    let before = scene.places(WINDOW);
    scene.leave(1, Instant::now());
    assert_eq!(order(&scene), [0, 5, 2, 3, 4]);
    assert_eq!(scene.places(WINDOW)[..3], before[..3]);
    scene.join(7, String::new(), Arc::default());
    assert_eq!((order(&scene), scene.places(WINDOW)), (vec![0, 5, 2, 3, 4, 7], before));
    scene.join(2, String::new(), Arc::default());
    assert_eq!(order(&scene), [0, 5, 3, 4, 7, 2], "who joins again is the last to have joined");
}

#[test]
fn tiles_are_arranged_by_rank_and_those_of_one_rank_stay_in_the_order_of_joining() {
    let mut scene = scene(5);
    scene.pick(0);
    scene.arrange(|id| [2, 1, 9, 9, 0][usize::from(id)]);
    assert_eq!((order(&scene), scene.large), (vec![4, 1, 0, 2, 3], Some(0)));
}

#[test]
fn digits_tab_and_clicks_make_one_large_and_it_is_let_go_when_it_leaves() {
    let mut scene = scene(4);
    let large = |scene: &Scene<u8>| scene.large;
    scene.pick(9);
    assert_eq!(large(&scene), None);
    scene.pick(2);
    assert_eq!(large(&scene), Some(2));
    let places = scene.places(WINDOW);
    assert!(places.iter().all(|place| place.size.width <= places[2].size.width));
    scene.step(false);
    scene.step(false);
    assert_eq!(large(&scene), Some(0), "round and round");
    scene.step(true);
    assert_eq!(large(&scene), Some(3));
    scene.all();
    scene.step(true);
    assert_eq!(large(&scene), Some(3));
    scene.all();
    scene.click(1200, 700, WINDOW);
    assert_eq!(large(&scene), Some(3));
    scene.leave(3, Instant::now());
    assert_eq!(large(&scene), None);
    scene.all();
    scene.click(5000, 1, WINDOW);
    assert_eq!(large(&scene), None, "there is no tile");
    Scene::<u8>::new().step(true);
}

#[test]
fn the_last_picture_stays_grey_until_another_sender_joins() {
    let (mut scene, now) = (scene(1), Instant::now());
    scene.leave(0, now);
    assert!(scene.tiles().is_empty(), "there was no picture");
    scene.join(1, String::new(), Arc::default());
    assert!(scene.picture(1) && !scene.picture(0));
    scene.quiet(1, Some(now));
    scene.leave(1, now + Duration::from_secs(3));
    let tile = &scene.tiles()[0];
    assert!(tile.has_left());
    assert_eq!(tile.silent(now + Duration::from_secs(5)), Some(Duration::from_secs(5)), "it counts from its last word");
    let canvas = tile.canvas().clone();
    scene.join(1, "again".into(), canvas);
    let tile = &scene.tiles()[0];
    assert!(!tile.has_left() && tile.silent(now).is_none() && tile.is_pictured(), "it is back");
    scene.leave(1, now);
    scene.join(2, String::new(), Arc::default());
    assert_eq!(order(&scene), [2]);
}

#[test]
fn frozen_pictures_are_copies_and_new_ones_are_not_seen_until_they_go_on() {
    let mut scene = scene(2);
    let canvas = Arc::new(Canvas::new());
    let size = Size { width: 2, height: 1 };
    scene.join(5, String::new(), canvas.clone());
    let paint = |number, colour| canvas.rows(number, size, 0..1).unwrap().pixels().fill(colour);
    paint(0, 1);
    assert!(scene.picture(5) && scene.take_fresh() == Some(5) && !scene.is_fresh());
    assert!(scene.toggle_frozen());
    paint(1, 2);
    assert!(!scene.picture(5) && !scene.is_fresh());
    assert_eq!(scene.tiles()[2].canvas().view().pixels(), [1, 1]);
    assert!(!scene.toggle_frozen() && scene.is_fresh());
    assert_eq!(scene.tiles()[2].canvas().view().pixels(), [2, 2]);
}

#[test]
fn a_tile_says_how_long_it_is_quiet_and_what_is_waited_for_and_a_picture_ends_both() {
    let (mut scene, now) = (scene(11), Instant::now());
    scene.say(0, "sound only".into());
    let face =
        |scene: &Scene<u8>, index: usize| scene.tiles()[index].face(Some(index + 1), true, now + Duration::from_millis(3240));
    assert_eq!((face(&scene, 0).notice.as_deref(), face(&scene, 0).speaks), (Some("sound only"), true));
    scene.quiet(0, Some(now));
    assert_eq!((face(&scene, 0).notice.as_deref(), face(&scene, 0).greyed), (Some("no signal 3.2\u{a0}s"), true));
    assert!(!face(&scene, 0).speaks, "nothing is heard of who is quiet");
    scene.picture(0);
    assert_eq!((face(&scene, 0).notice, face(&scene, 0).greyed), (None, false));
    assert_eq!((face(&scene, 8).digit, face(&scene, 9).digit), (Some(9), None));
}

#[test]
fn a_silence_is_said_in_fitting_units() {
    let said: Vec<_> = [3240, 59_900, 61_000, 7_260_000].map(Duration::from_millis).map(spoken).into();
    assert_eq!(said, ["3.2\u{a0}s", "59\u{a0}s", "1\u{a0}min 1\u{a0}s", "2\u{a0}h 1\u{a0}min"]);
}

/// A canvas with one picture of this size.
fn own(scene: &mut Scene<u8>, width: u32, height: u32) -> Arc<Canvas> {
    let canvas = Arc::new(Canvas::new());
    canvas.rows(0, Size { width, height }, 0..height).unwrap().pixels().fill(1);
    scene.set_own(Some(canvas.clone()));
    canvas
}

#[test]
fn ones_own_picture_fills_the_window_while_nobody_is_there_and_stands_in_a_corner_beside_others() {
    let mut scene = scene(0);
    let canvas = own(&mut scene, 64, 36);
    assert!(!scene.shows_own(), "nothing has come of it");
    scene.own_picture();
    let whole = Some(Rect { x: 0, y: 0, size: WINDOW });
    assert_eq!((scene.own_place(WINDOW), scene.is_own_fresh(), scene.is_fresh()), (whole, true, false));
    scene.join(0, String::new(), Arc::default());
    for (window, width) in [(WINDOW, 256), (Size { width: 320, height: 240 }, 106), (Size { width: 200, height: 2000 }, 66)] {
        let Rect { x, y, size } = scene.own_place(window).unwrap();
        assert_eq!((size.width, size.width * 9 / 16), (width, size.height - (size.height * 16 > width * 9) as u32), "{window}");
        assert!(x + size.width < window.width && y + size.height < window.height && x > window.width / 2 - 10, "{window}");
    }
    for (width, height) in [(1, 1), (1, 90), (90, 1), (7, 5)] {
        let window = Size { width, height };
        let Rect { x, y, size } = scene.own_place(window).unwrap();
        assert!(x + size.width <= width && y + size.height <= height, "{window}");
    }
    // It is no tile: a click on it makes none large.
    (1..4).for_each(|id| scene.join(id, String::new(), Arc::default()));
    let Rect { x, y, .. } = scene.own_place(WINDOW).unwrap();
    scene.click(x + 1, y + 1, WINDOW);
    assert_eq!(scene.large, None);
    assert!(!scene.toggle_own());
    assert_eq!((scene.own_place(WINDOW), scene.is_own_fresh()), (None, false), "it is hidden");
    scene.click(x + 1, y + 1, WINDOW);
    assert_eq!(scene.large, Some(3));
    // Hidden it stays, whatever camera is opened.
    scene.set_own(None);
    scene.set_own(Some(canvas));
    scene.own_picture();
    assert!(!scene.shows_own() && scene.toggle_own() && scene.shows_own());
    scene.set_own(None);
    scene.own_picture();
    assert!(!scene.shows_own(), "the camera is closed");
}

#[test]
fn a_tile_alone_is_plain_until_something_stands_over_its_picture() {
    let (mut scene, now) = (scene(1), Instant::now());
    scene.picture(0);
    assert!(scene.alone().is_some());
    scene.mark(0, Marks { muted: true, camera_closed: false });
    assert!(scene.alone().is_none() && scene.tiles()[0].face(None, false, now).muted);
    scene.mark(0, Marks::default());
    scene.set_volume(0, 40);
    assert_eq!((scene.alone().is_none(), scene.tiles()[0].face(None, false, now).volume), (true, Some(40)));
    scene.set_silenced(0, true);
    assert_eq!((scene.alone().is_none(), scene.tiles()[0].face(None, false, now).volume), (true, Some(0)));
    scene.set_silenced(0, false);
    assert_eq!(scene.tiles()[0].face(None, false, now).volume, Some(40), "as loud as before");
    scene.set_volume(0, FULL_VOLUME);
    own(&mut scene, 4, 4);
    assert!(scene.alone().is_some());
    scene.own_picture();
    assert!(scene.alone().is_none());
    // Who left makes room for one's own, and nothing of it waits to be composed.
    scene.picture(0);
    scene.mark(0, Marks { muted: true, camera_closed: false });
    scene.leave(0, now);
    assert!(scene.own_fills() && !scene.is_fresh());
    scene.toggle_own();
    assert!(scene.alone().is_some_and(Tile::has_left), "hidden, the last picture is seen, and nothing over it");
    scene.toggle_own();
    scene.join(1, String::new(), Arc::default());
    assert!(!scene.own_fills());
}

#[test]
fn of_a_closed_camera_no_picture_is_shown_until_it_is_opened() {
    let (mut scene, now) = (scene(2), Instant::now());
    scene.picture(0);
    scene.mark(0, Marks { muted: false, camera_closed: true });
    let face = scene.tiles()[0].face(Some(1), false, now);
    assert_eq!((face.pictured, face.notice.as_deref()), (false, Some("camera closed")));
    assert!(!scene.picture(0), "the last ones are on their way");
    scene.mark(0, Marks::default());
    let face = scene.tiles()[0].face(Some(1), false, now);
    assert_eq!((face.pictured, face.notice), (true, None));
    assert!(scene.picture(0));
}

#[test]
fn what_is_meant_is_the_tile_under_the_pointer_or_the_large_one_where_there_are_several() {
    let mut scene = scene(1);
    assert_eq!(scene.meant(Some((5, 360)), WINDOW), None);
    scene.join(1, String::new(), Arc::default());
    let place = scene.places(WINDOW)[1];
    let on_second = Some((place.x + 5, place.y + 5));
    assert_eq!(
        [scene.meant(on_second, WINDOW), scene.meant(None, WINDOW), scene.meant(Some((0, 0)), WINDOW)],
        [Some(1), None, None]
    );
    scene.pick(0);
    assert_eq!([scene.meant(None, WINDOW), scene.meant(Some((0, 0)), WINDOW)], [Some(0); 2]);
    let strip = scene.places(WINDOW)[1];
    assert_eq!(scene.meant(Some((strip.x + 5, strip.y + 5)), WINDOW), Some(1));
}
