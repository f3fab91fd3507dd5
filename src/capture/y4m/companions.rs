//! Tells a picture's companions from the pictures of a stream: phones put a gain map, a depth map or a large thumbnail behind
//! each picture, as JPEGs of their own in the same file.
//!
//! What is one: a picture right behind another whose index (MPF) names one of that length; one that says it is a gain map; and,
//! since indexes are often lost on the way, a single smaller grey one right behind one with colours. Two such in a row are a
//! camera that changed its mind, and are taken.

use super::jpegs::Jpeg;

/// The last picture that was taken, and what of it may follow.
#[derive(Default)]
pub struct Companions {
    main: Option<Jpeg>,
    grey_before: bool,
}

impl Companions {
    /// Whether this picture of `len` bytes belongs to the one before it. `adjacent`: nothing lay between them.
    pub fn is_one(&mut self, jpeg: &Jpeg, len: usize, adjacent: bool) -> bool {
        let Some(main) = self.main.as_mut().filter(|_| adjacent) else { return self.taken(jpeg) };
        if let Some(index) = main.notes.companions.iter().position(|&companion| companion as usize == len) {
            main.notes.companions.swap_remove(index);
            return true;
        }
        if jpeg.notes.gain_map {
            return true;
        }
        let smaller = jpeg.size.width < main.size.width && jpeg.size.height < main.size.height;
        if jpeg.grey && !main.grey && smaller && !self.grey_before {
            self.grey_before = true;
            return true;
        }
        self.taken(jpeg)
    }

    fn taken(&mut self, jpeg: &Jpeg) -> bool {
        (self.main, self.grey_before) = (Some(jpeg.clone()), false);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::jpeg_notes::Notes;
    use super::*;
    use eyeline_proto::picture::Size;

    fn jpeg(width: u32, grey: bool) -> Jpeg {
        Jpeg { size: Size { width, height: width / 2 }, grey, notes: Notes::default() }
    }

    #[test]
    fn a_small_grey_one_behind_colours_belongs_to_them_and_a_second_in_a_row_does_not() {
        let mut companions = Companions::default();
        for _ in 0..3 {
            assert!(!companions.is_one(&jpeg(640, false), 9, true));
            assert!(companions.is_one(&jpeg(160, true), 9, true));
        }
        assert!(!companions.is_one(&jpeg(160, true), 9, true), "the source is a small grey one now");
        assert!(!companions.is_one(&jpeg(100, true), 9, true));
        assert!(!companions.is_one(&jpeg(640, false), 9, true));
        assert!(!companions.is_one(&jpeg(160, true), 9, false), "something lay between");
        assert!(!companions.is_one(&jpeg(640, false), 9, true));
        assert!(!companions.is_one(&jpeg(640, true), 9, true), "a camera that goes to night mode");
    }

    #[test]
    fn what_an_index_names_and_what_says_it_is_a_gain_map_belong_to_the_picture_before() {
        let mut companions = Companions::default();
        let main = Jpeg { notes: Notes { companions: vec![500, 700], ..Notes::default() }, ..jpeg(640, false) };
        assert!(!companions.is_one(&main, 9000, true));
        assert!(companions.is_one(&jpeg(640, false), 700, true));
        assert!(companions.is_one(&jpeg(640, false), 500, true));
        assert!(!companions.is_one(&jpeg(640, false), 500, true), "each is named once");
        let map = Jpeg { notes: Notes { gain_map: true, ..Notes::default() }, ..jpeg(640, false) };
        assert!(companions.is_one(&map, 44, true));
    }
}
