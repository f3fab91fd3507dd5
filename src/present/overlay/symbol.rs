//! A QR code symbol (ISO/IEC 18004) in the middle of the window, dark on light with its quiet zone, for the camera of a phone.

use super::page::Page;
use eyeline_proto::picture::Size;

/// Modules of light around it.
const ZONE: i64 = 4;

/// The share of the window's shorter side that it takes, in tenths.
const TENTHS: i64 = 8;

const LIGHT: u32 = 0x00ff_ffff;
const DARK: u32 = 0;

/// What stands in it is the caller's affair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Symbol {
    /// Modules a side.
    side: usize,
    /// Whether each is dark, row by row.
    dark: Vec<bool>,
}

impl Symbol {
    /// Of so many modules a side, of which `dark` says which are, by column and row.
    pub fn new(side: usize, dark: impl Fn(usize, usize) -> bool) -> Symbol {
        let dark = (0..side * side).map(|at| dark(at % side, at / side)).collect();
        Symbol { side, dark }
    }

    /// Draws it, as large as whole pixels a module allow; whether it has room.
    pub(super) fn draw(&self, page: &mut Page<'_>, size: Size) -> bool {
        let [width, height] = [size.width, size.height].map(i64::from);
        let modules = self.side as i64 + 2 * ZONE;
        let module = width.min(height) * TENTHS / 10 / modules;
        if module < 1 {
            return false;
        }
        let (left, top) = ((width - modules * module) / 2, (height - modules * module) / 2);
        page.fill(left, top, modules * module, modules * module, LIGHT);
        for (at, _) in self.dark.iter().enumerate().filter(|(_, dark)| **dark) {
            let place = |number: usize| (number as i64 + ZONE) * module;
            page.fill(left + place(at % self.side), top + place(at / self.side), module, module, DARK);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::letters::Letters;
    use super::*;

    #[test]
    fn each_module_is_a_square_and_light_is_around_them() {
        let size = Size { width: 200, height: 100 };
        let mut pixels = vec![0x0012_3456; 200 * 100];
        let symbol = Symbol::new(2, |x, y| x == y);
        assert!(symbol.draw(&mut Page::new(&Letters::new(1.0), &mut pixels, size), size));
        // 80 pixels for 10 modules: 8 each, from 60, 10 on.
        let at = |x: usize, y: usize| pixels[y * 200 + x];
        assert_eq!(
            [at(59, 50), at(60, 10), at(60 + 8 * 4, 10 + 8 * 4), at(60 + 8 * 5, 10 + 8 * 4)],
            [0x0012_3456, LIGHT, DARK, LIGHT]
        );
        assert_eq!([at(60 + 8 * 5, 10 + 8 * 5), at(139, 89), at(140, 50)], [DARK, LIGHT, 0x0012_3456]);
        let tiny = Size { width: 5, height: 5 };
        assert!(!symbol.draw(&mut Page::new(&Letters::new(1.0), &mut [0; 25], tiny), tiny));
    }
}
