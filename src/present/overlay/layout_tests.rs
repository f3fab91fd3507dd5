//! Boxes arranged at window sizes from 160x120 to 3840x2160.

use super::*;

fn paragraph(lines: &[&'static str], places: &'static [Place]) -> Paragraph<'static> {
    Paragraph::new(lines.iter().map(|line| line.split("  ").map(|piece| (0, piece)).collect()).collect(), places)
}

fn figures() -> Paragraph<'static> {
    let lines = [
        "1280x720  30 pictures/s  12.3 Mbit/s",
        "loss 0 packets/s  0 partial  0 lost",
        "latency p50 12.3 ms  p95 14.5 ms",
        "sound 3.2 ms early",
        "round trip 0.2 ms",
    ];
    paragraph(&lines, &[Place::TopLeft, Place::BottomLeft])
}

fn keys() -> Paragraph<'static> {
    let line = || vec![(1, "f, F11"), (0, "full screen (or double click)")];
    let short = Some(vec![vec![(1, "f"), (0, "full screen")]; 8]);
    Paragraph { short, ..Paragraph::new(vec![line(); 10], &[Place::Middle, Place::Right, Place::Bottom]) }
}

fn texts(placed: &Placed) -> Vec<String> {
    placed.lines.iter().map(|line| line.iter().map(|(_, text)| *text).collect()).collect()
}

fn inside(area: Area, size: Size) -> bool {
    let (width, height) = (i64::from(size.width), i64::from(size.height));
    area.x >= 0 && area.y >= 0 && area.x + area.width <= width && area.y + area.height <= height
}

const SIZES: [(u32, u32); 9] =
    [(160, 120), (1240, 300), (300, 1240), (320, 240), (640, 480), (700, 240), (1280, 720), (1920, 1080), (3840, 2160)];

#[test]
fn at_every_size_words_stand_whole_in_the_window_and_beside_each_other() {
    let letters = Letters::new(1.0);
    let notice = || Paragraph {
        larger: true,
        ..paragraph(&["no signal 3.2 s", "dialling robot.local:9688"], &[Place::Middle, Place::Top])
    };
    let badges = || paragraph(&["muted", "frozen"], &[Place::TopRight, Place::BottomRight, Place::BottomLeft]);
    for (width, height) in SIZES {
        let size = Size { width, height };
        for wanted in [vec![keys()], vec![figures()], vec![notice()], vec![keys(), figures()], vec![keys(), notice(), figures()]]
        {
            let mut layout = Layout::new(&letters, size);
            let mut placed = layout.arrange(&wanted);
            assert!(!placed.is_empty(), "{size}");
            placed.extend(layout.add(&badges()));
            placed.extend(layout.add(&paragraph(&["volume 100 %"], &[Place::Bottom, Place::Top])));
            for (at, one) in placed.iter().enumerate() {
                assert!(inside(one.area, size), "{size}: {one:?}");
                assert!(!placed[at + 1..].iter().any(|other| touch(one.area, other.area, 0)), "{size}: {placed:?}");
            }
        }
    }
}

#[test]
fn letters_grow_with_the_window() {
    let letters = Letters::new(1.0);
    let em = |width, height| Layout::new(&letters, Size { width, height }).arrange(&[figures()])[0].style.em;
    let sizes = [em(320, 240), em(640, 480), em(1280, 720), em(1920, 1080), em(3840, 2160)];
    assert!(sizes.is_sorted_by(|a, b| a < b) && sizes[4] > 3 * sizes[1], "{sizes:?}");
}

#[test]
fn pieces_stand_in_columns_and_what_ends_a_line_pushes_nothing() {
    let letters = Letters::new(1.0);
    let lines =
        paragraph(&["loss  0 packets/s  0 partial", "latency  p50 12.3 ms", "a sentence of its own that is long"], &[]).lines;
    let (begins, width) = columns(&letters, 20, &lines);
    assert_eq!(begins.len(), 3);
    assert_eq!(begins[1], letters.width("latency", 20) + 15);
    assert_eq!(begins[2], begins[1] + letters.width("0 packets/s", 20) + 15, "the longer piece ends its line");
    assert_eq!(width, letters.width("a sentence of its own that is long", 20).max(begins[2] + letters.width("0 partial", 20)));
}

#[test]
fn on_a_wide_low_window_the_page_of_keys_stands_beside_the_figures_in_full() {
    let letters = Letters::new(1.0);
    let placed = Layout::new(&letters, Size { width: 1240, height: 300 }).arrange(&[keys(), figures()]);
    assert_eq!(placed.iter().map(|placed| placed.style.em).collect::<Vec<_>>(), [11, 11]);
    assert_eq!(texts(&placed[0]).len(), 10);
    assert!(placed[0].area.x > placed[1].area.x + placed[1].area.width);
}

#[test]
fn on_a_tiny_window_figures_are_broken_between_their_parts_and_the_keys_stand_beside_them() {
    let letters = Letters::new(1.0);
    let size = Size { width: 160, height: 120 };
    let alone = Layout::new(&letters, size).arrange(&[figures()]);
    assert_eq!(texts(&alone[0])[..4], ["1280x720", "30 pictures/s", "12.3 Mbit/s", "loss 0 packets/s"]);
    let both = Layout::new(&letters, size).arrange(&[keys(), figures()]);
    assert_eq!(both.iter().map(|placed| texts(placed).len()).collect::<Vec<_>>(), [8, 10]);
}

#[test]
fn no_page_covers_more_than_half_of_the_picture_where_smaller_letters_do() {
    let letters = Letters::new(1.0);
    for (width, height) in [(320, 240), (640, 480), (700, 240), (1280, 720), (1920, 1080)] {
        for paragraph in [keys(), figures()] {
            let size = Size { width, height };
            let Area { width: across, height: down, .. } = Layout::new(&letters, size).arrange(&[paragraph])[0].area;
            assert!(2 * across * down <= i64::from(width * height), "{width}x{height}: {across}x{down}");
        }
    }
}

#[test]
fn a_command_is_rather_made_smaller_than_broken() {
    let letters = Letters::new(1.0);
    let waiting = "waiting on port 25001: run `send --host 192.168.1.17:25001`";
    let sentence = || Paragraph { larger: true, ..paragraph(&[waiting], &[Place::Middle]) };
    for (width, height) in [(320, 240), (640, 480), (1280, 720)] {
        let placed = &Layout::new(&letters, Size { width, height }).arrange(&[sentence()])[0];
        assert!(texts(placed).iter().any(|line| line.contains("`send --host 192.168.1.17:25001`")), "{:?}", texts(placed));
    }
}

#[test]
fn lines_are_broken_between_pieces_then_words_then_anywhere() {
    let width = |text: &str| text.chars().count() as i64;
    let rows = |text: &'static str, room| broken_text(text, room, &width);
    assert_eq!(rows("a line", 6), ["a line"]);
    assert_eq!(rows("waiting for it", 7), ["waiting", "for it"]);
    assert_eq!(rows("überlanges", 4), ["über", "lang", "es"]);
    assert_eq!(rows("ab", 0), ["a", "b"], "where there is no room at all it still ends");
    let waiting = "waiting on port 9688: run `send --host 192.168.1.17`";
    assert_eq!(rows(waiting, 30), ["waiting on port 9688: run", "`send --host 192.168.1.17`"], "a command is typed as it stands");
    assert_eq!(rows(waiting, 19), ["waiting on port", "9688: run", "`send --host", "192.168.1.17`"]);
    let pieces = broken(&vec![(7, "one two"), (7, "three four")], 7, &width);
    assert_eq!(pieces, [vec![(7, "one two")], vec![(7, "three")], vec![(7, "four")]]);
    let keys = vec![(1, "f"), (0, "full screen")];
    assert_eq!(broken(&keys, 3, &width), [keys]);
}

#[test]
fn a_sentence_is_larger_than_the_rest_and_broken_before_it_is_cut() {
    let letters = Letters::new(1.0);
    let sentence =
        || Paragraph { larger: true, ..paragraph(&["dialling robot.local:9688: nobody answers yet"], &[Place::Middle]) };
    for (width, height) in [(1920, 1080), (1280, 720), (640, 480), (160, 120)] {
        let size = Size { width, height };
        let placed = &Layout::new(&letters, size).arrange(&[sentence()])[0];
        let plain = Layout::new(&letters, size).styles().next().unwrap();
        assert!(inside(placed.area, size) && (width < 640 || placed.style.em > plain.em), "{size}: {placed:?}");
        assert!(width > 160 || placed.lines.len() > 1);
    }
}
