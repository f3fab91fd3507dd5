//! Sequence numbers: short on the wire, 64 bits everywhere else. Widening happens once, at the edge.

/// The 64-bit number nearest to `expected` whose low 32 bits are `low` (RFC 9000, appendix A.3, with a fixed width).
///
/// `expected` is the next number that would come if nothing were lost.
pub fn widen(low: u32, expected: u64) -> u64 {
    const WINDOW: u64 = 1 << 32;
    let candidate = (expected & !(WINDOW - 1)) | u64::from(low);
    if candidate.saturating_add(WINDOW / 2) <= expected && candidate.checked_add(WINDOW).is_some() {
        candidate + WINDOW
    } else if candidate > expected.saturating_add(WINDOW / 2) && candidate >= WINDOW {
        candidate - WINDOW
    } else {
        candidate
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widening_finds_the_nearest_number_on_both_sides_of_a_wrap() {
        for expected in [0, 1, 77, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 32) + 5, 7 << 32, u64::MAX - 9] {
            for distance in [0i64, 1, 4096, 1 << 30, -1, -4096, -(1 << 30)] {
                let Some(number) = expected.checked_add_signed(distance) else { continue };
                assert_eq!(widen(number as u32, expected), number, "expected {expected}, distance {distance}");
            }
        }
    }
}
