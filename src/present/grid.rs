//! Where tiles stand in a window: side by side in rows, or one large with the others in a strip. Pure arithmetic, in window pixels.
//!
//! A tile is 16:9, as most pictures are, and all of a grid are of one size: the largest with which there is room for all. Where the
//! window's shape leaves the choice, the number of rows with the fewest places empty is taken. The last row stands in the middle.

use super::scale::Rect;
use eyeline_proto::picture::Size;

/// So much of a window's width or height the strip takes at most.
const STRIP: u32 = 4;
/// Rows or columns of a strip at most.
const LANES: usize = 4;
/// A pixel of a small tile is worth so many of the large one, when they compete for the window: else tiles of a strip would be so
/// small that nothing is seen in them.
const WORTH: u64 = 2;

fn gap(window: Size) -> u32 {
    (window.width.min(window.height) / 180).clamp(1, 8)
}

/// The largest tile with room in so much.
fn tile(width: u32, height: u32) -> Size {
    let wide = u64::from(width) * 9 <= u64::from(height) * 16;
    let (width, height) = if wide { (width, width * 9 / 16) } else { (height * 16 / 9, height) };
    Size { width: width.max(1), height: height.max(1) }
}

fn pixels(size: Size) -> u64 {
    u64::from(size.width) * u64::from(size.height)
}

/// What each of `count` places has of `length`, gaps between them.
fn share(length: u32, count: usize, gap: u32) -> u32 {
    let count = (count as u32).max(1);
    length.saturating_sub(gap * (count - 1)) / count
}

/// `count` tiles, `columns` a row, in the middle of `area`.
fn rows(count: usize, columns: usize, tile: Size, gap: u32, area: Rect) -> Vec<Rect> {
    let long = |tiles: usize, side: u32| (tiles as u32 * (side + gap)).saturating_sub(gap);
    let down = area.size.height.saturating_sub(long(count.div_ceil(columns), tile.height)) / 2;
    let place = |index: usize| {
        let (row, column) = (index / columns, index % columns);
        let across = area.size.width.saturating_sub(long((count - row * columns).min(columns), tile.width)) / 2;
        let (x, y) = (across + column as u32 * (tile.width + gap), down + row as u32 * (tile.height + gap));
        Rect { x: area.x + x, y: area.y + y, size: tile }
    };
    (0..count).map(place).collect()
}

/// Places of `count` tiles, in their order. One alone has all of the window.
pub(super) fn grid(count: usize, window: Size) -> Vec<Rect> {
    let whole = Rect { x: 0, y: 0, size: window };
    if count <= 1 {
        return vec![whole; count];
    }
    let gap = gap(window);
    let fit = |columns: usize| {
        let down = count.div_ceil(columns);
        let tile = tile(share(window.width, columns, gap), share(window.height, down, gap));
        (tile, columns * down - count, columns)
    };
    let best = (1..=count).map(fit).max_by_key(|(tile, empty, _)| (tile.width, std::cmp::Reverse(*empty)));
    best.map_or_else(Vec::new, |(tile, _, columns)| rows(count, columns, tile, gap, whole))
}

/// Places of `count` tiles, in their order, that of index `large` as large as the strip of the others leaves room for: below it or
/// to its right, whichever shows more.
pub(super) fn spotlight(count: usize, large: usize, window: Size) -> Vec<Rect> {
    if count <= 1 {
        return grid(count, window);
    }
    let (gap, others) = (gap(window), count - 1);
    let way = |right: bool, lanes: usize| {
        let long = others.div_ceil(lanes);
        let (columns, down) = if right { (lanes, long) } else { (long, lanes) };
        let most = if right { (window.width / STRIP, window.height) } else { (window.width, window.height / STRIP) };
        let tile = tile(share(most.0, columns, gap), share(most.1, down, gap));
        let (side, length) = if right { (tile.width, window.width) } else { (tile.height, window.height) };
        // The gap to the large one with it.
        let thick = ((side + gap) * lanes as u32).min(length - 1);
        let strip = if right {
            let size = Size { width: thick - gap.min(thick), height: window.height };
            Rect { x: window.width - size.width, y: 0, size }
        } else {
            let size = Size { width: window.width, height: thick - gap.min(thick) };
            Rect { x: 0, y: window.height - size.height, size }
        };
        let size =
            if right { Size { width: window.width - thick, ..window } } else { Size { height: window.height - thick, ..window } };
        let worth = pixels(self::tile(size.width, size.height)) + WORTH * others as u64 * pixels(tile);
        (worth, size, strip, columns, tile)
    };
    let ways = [true, false].into_iter().flat_map(|right| (1..=LANES.min(others)).map(move |lanes| (right, lanes)));
    let Some((_, size, strip, columns, tile)) = ways.map(|(right, lanes)| way(right, lanes)).max_by_key(|way| way.0) else {
        return grid(count, window);
    };
    let mut places = rows(others, columns, tile, gap, strip);
    places.insert(large.min(others), Rect { x: 0, y: 0, size });
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(width: u32, height: u32) -> Size {
        Size { width, height }
    }

    const WINDOWS: [(u32, u32); 10] = [
        (1280, 720),
        (640, 480),
        (1920, 1080),
        (3840, 2160),
        (320, 240),
        (480, 1920),
        (2560, 400),
        (1000, 1000),
        (99, 61),
        (8192, 8192),
    ];

    fn apart(a: Rect, b: Rect) -> bool {
        a.x + a.size.width <= b.x || b.x + b.size.width <= a.x || a.y + a.size.height <= b.y || b.y + b.size.height <= a.y
    }

    fn check(places: &[Rect], window: Size) {
        for (at, place) in places.iter().enumerate() {
            assert!(place.size.width > 0 && place.size.height > 0, "{place:?}");
            assert!(place.x + place.size.width <= window.width && place.y + place.size.height <= window.height, "{place:?}");
            assert!(places[at + 1..].iter().all(|other| apart(*place, *other)), "{window}: {places:?}");
        }
    }

    #[test]
    fn tiles_are_within_the_window_apart_of_one_size_and_as_large_as_any_number_of_rows_allows() {
        for (width, height) in WINDOWS {
            let window = size(width, height);
            for count in 1..=16usize {
                let places = grid(count, window);
                assert_eq!(places.len(), count);
                check(&places, window);
                assert!(places.iter().all(|place| place.size == places[0].size));
                let gap = gap(window);
                let largest = (1..=count).map(|rows| {
                    let columns = count.div_ceil(rows) as u32;
                    let rows = rows as u32;
                    let (w, h) = ((width - gap * (columns - 1)) / columns, (height - gap * (rows - 1)) / rows);
                    w.min(h * 16 / 9)
                });
                assert!(count == 1 || largest.max() == Some(places[0].size.width), "{window}: {places:?}");
            }
        }
    }

    #[test]
    fn tiles_stand_in_their_order_row_by_row_and_the_last_row_in_the_middle() {
        let places = grid(5, size(1280, 720));
        let row = |place: &Rect| place.y;
        assert_eq!(places.iter().map(row).collect::<std::collections::BTreeSet<_>>().len(), 2);
        assert!(places.windows(2).all(|pair| (pair[0].y, pair[0].x) < (pair[1].y, pair[1].x)));
        let last = &places[3..];
        assert_eq!(last[0].x, 1280 - (last[1].x + last[1].size.width));
        assert!(places.iter().all(|place| place.size.width * 9 / 16 == place.size.height));
        let three = grid(3, size(1280, 720));
        assert_eq!(three[2].x * 2 + three[2].size.width, 1280);
    }

    #[test]
    fn a_grid_of_as_many_has_the_same_places_whoever_stands_in_them() {
        assert_eq!(grid(7, size(1280, 720))[..6], grid(8, size(1280, 720))[..6], "the seventh alone moves when an eighth joins");
        assert_eq!(grid(1, size(333, 777)), [Rect { x: 0, y: 0, size: size(333, 777) }]);
        assert!(grid(0, size(5, 5)).is_empty() && spotlight(0, 0, size(5, 5)).is_empty());
    }

    #[test]
    fn one_is_large_and_the_others_stand_in_a_strip_in_their_order() {
        for (width, height) in WINDOWS {
            let window = size(width, height);
            for count in 2..=16usize {
                for large in [0, count / 2, count - 1] {
                    let places = spotlight(count, large, window);
                    assert_eq!(places.len(), count);
                    check(&places, window);
                    let most = places[large].size;
                    let others: Vec<Rect> = (0..).zip(&places).filter(|(at, _)| *at != large).map(|(_, place)| *place).collect();
                    assert!(others.iter().all(|other| pixels(other.size) < pixels(most)), "{window}: {places:?}");
                    assert!(2 * pixels(most) >= pixels(window), "{window}, {count}: {places:?}");
                    assert!(others.windows(2).all(|pair| (pair[0].y, pair[0].x) < (pair[1].y, pair[1].x)));
                }
            }
        }
    }

    #[test]
    fn a_window_of_a_few_pixels_breaks_nothing() {
        for count in 0..=16 {
            for (width, height) in [(1, 1), (2, 1), (1, 9), (7, 3)] {
                assert_eq!(grid(count, size(width, height)).len(), count);
                assert_eq!(spotlight(count, 3, size(width, height)).len(), count);
            }
        }
    }
}
