//! A live Xvfb framebuffer: an XWD file that Xvfb maps, and we too.

use crate::clock::{now_us, sleep_until};
use crate::code::Picture;
use std::os::fd::AsRawFd;
use std::path::Path;

/// The X server's own pixels, mapped.
pub struct Framebuffer {
    map: *const u8,
    pixels: usize,
    stride: usize,
    width: usize,
    height: usize,
    length: usize,
}

// SAFETY: the mapping is only read, by volatile loads, and lives as long as the value.
unsafe impl Sync for Framebuffer {}
// SAFETY: see above.
unsafe impl Send for Framebuffer {}

impl Drop for Framebuffer {
    fn drop(&mut self) {
        // SAFETY: what `open` mapped, once.
        unsafe { libc::munmap(self.map as *mut _, self.length) };
    }
}

impl Framebuffer {
    /// Of an Xvfb started with `-fbdir directory`.
    pub fn open(directory: &Path) -> Result<Framebuffer, String> {
        let path = directory.join("Xvfb_screen0");
        let file = std::fs::File::open(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let length = file.metadata().map_err(|e| e.to_string())?.len() as usize;
        // SAFETY: a read-only mapping of a file we opened, of its length; it is unmapped when dropped.
        let map = unsafe { libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0) };
        if map == libc::MAP_FAILED || length < 100 {
            return Err(format!("{}: cannot map", path.display()));
        }
        let map = map as *const u8;
        // SAFETY: the file is at least 100 bytes long, and no field above 24 is asked for.
        let field = |i: usize| u32::from_be(unsafe { (map as *const u32).add(i).read_volatile() }) as usize;
        let (header, version, width, height, bits, stride, colours) =
            (field(0), field(1), field(4), field(5), field(11), field(12), field(19));
        let pixels = header + colours * 12;
        if version != 7 || bits != 32 || pixels + stride * height > length || width * 4 > stride || pixels % 4 != 0 {
            return Err(format!("{}: not a 32-bit XWD file", path.display()));
        }
        Ok(Framebuffer { map, pixels, stride, width, height, length })
    }

    /// Where `find` finds a picture's corner, with room for it there. A snapshot may catch a frame half drawn, so two must agree.
    pub fn find(
        &self,
        (width, height): (usize, usize),
        find: impl Fn(&Snapshot) -> Option<(usize, usize)>,
    ) -> Option<(usize, usize)> {
        let mut last = find(&self.snapshot())?;
        for _ in 0..10 {
            sleep_until(now_us() + 7_000);
            let next = find(&self.snapshot())?;
            if next == last {
                return Some(next).filter(|&(x, y)| x + width <= self.width && y + height <= self.height);
            }
            last = next;
        }
        None
    }

    /// Copies a rectangle's pixels, blue in the lowest byte. The server may be drawing meanwhile.
    pub fn copy(&self, (x, y): (usize, usize), (width, height): (usize, usize), to: &mut Vec<u32>) {
        to.resize(width * height, 0);
        for (row, to) in to.chunks_exact_mut(width).enumerate() {
            assert!(x + width <= self.width && y + row < self.height, "inside the screen");
            let at = self.pixels + (y + row) * self.stride + x * 4;
            // SAFETY: the row lies within the mapping, which `open` checked, and any bits are a `u32`.
            unsafe { std::ptr::copy_nonoverlapping(self.map.add(at) as *const u32, to.as_mut_ptr(), width) };
        }
    }

    /// Our own copy, so that a search does not race with drawing.
    fn snapshot(&self) -> Snapshot {
        let mut luma = Vec::with_capacity(self.width * self.height);
        for y in 0..self.height {
            luma.extend((0..self.width).map(|x| self.luma(x, y)));
        }
        Snapshot { luma, width: self.width, height: self.height }
    }
}

impl Picture for Framebuffer {
    fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    fn luma(&self, x: usize, y: usize) -> u8 {
        let at = self.pixels + y * self.stride + x * 4;
        // SAFETY: callers stay within width and height, and `open` checked that these lie within the mapping.
        let [b, g, r, _] = unsafe { (self.map.add(at) as *const u32).read_volatile() }.to_le_bytes();
        ((77 * r as u32 + 150 * g as u32 + 29 * b as u32) >> 8) as u8
    }
}

/// Pixels that no longer change.
pub struct Snapshot {
    luma: Vec<u8>,
    width: usize,
    height: usize,
}

impl Picture for Snapshot {
    fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    fn luma(&self, x: usize, y: usize) -> u8 {
        self.luma[y * self.width + x]
    }
}
