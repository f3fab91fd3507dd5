//! What kind of JPEG a frame header says it is (ITU-T T.81, table B.1), in words for whoever gave it: of those there are, only
//! baseline ones of 8 bit travel.

/// What is not taken of a frame whose marker is FF `code` and whose samples have so many bits; `None` where it may be baseline.
pub fn unfit(code: u8, precision: u8) -> Option<&'static str> {
    match (code, precision) {
        (0xC9..=0xCE, _) if code != 0xCB => Some("arithmetic coded"),
        (0xC3 | 0xC7 | 0xCB | 0xCF, _) => Some("lossless"),
        (0xC5 | 0xC6, _) => Some("hierarchical"),
        (_, 12) => Some("of 12 bit"),
        (0xC2, _) => Some("progressive"),
        (0xC1, 8) => Some("extended"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_jpeg_has_its_name_and_baseline_none() {
        let kinds = [(0xC1, 8), (0xC2, 8), (0xC3, 8), (0xC5, 8), (0xC9, 8), (0xCB, 8), (0xCC, 8), (0xC0, 12), (0xC2, 12)];
        let names = kinds.map(|(code, precision)| unfit(code, precision).unwrap_or("baseline"));
        let wanted = ["extended", "progressive", "lossless", "hierarchical", "arithmetic coded", "lossless", "arithmetic coded"];
        assert_eq!((&names[..7], names[7], names[8]), (&wanted[..], "of 12 bit", "of 12 bit"));
        assert_eq!(unfit(0xC0, 8), None);
    }
}
