//! What a peer says to come back as the process that it was.
//!
//! **Problem.** A waiting side that stood still finds several attempts of a dialler in its backlog. All say the token that the dialler had
//! before, for it read none of the answers; and one that is answered may be dropped before more is read on it.
//!
//! **Choice.** The token that was said stays good, with all that were given since, until a newer one is said: that shows what the peer has
//! read. What is older than what was said is worth nothing.
//!
//! Capacity: [`MOST`]; the second oldest goes, for the oldest is the one that the peer surely has.

/// A listen backlog holds more attempts, but a dialler has few under way (`hosts`).
const MOST: usize = 16;

/// Those that are good for one link, random and given over links to one process.
pub struct Tokens {
    /// From the one that was said, the oldest first; the last was given over this link.
    known: Vec<[u8; 16]>,
}

impl Tokens {
    /// Of a link that is the first.
    pub fn new(given: [u8; 16]) -> Self {
        Tokens { known: vec![given] }
    }

    /// The one given over this link.
    pub fn given(&self) -> [u8; 16] {
        self.known.last().copied().unwrap_or_default()
    }

    /// Whether who says this one comes back.
    pub fn know(&self, said: &[u8; 16]) -> bool {
        self.known.contains(said)
    }

    /// This link takes the place of the one that had `former`, whose peer said `said`: one of them, or none where both sides dialled.
    pub fn follow(&mut self, former: &Tokens, said: &[u8; 16]) {
        let since = former.known.iter().position(|known| known == said).unwrap_or(former.known.len() - 1);
        self.known.splice(..0, former.known[since..].iter().copied());
        if self.known.len() > MOST {
            self.known.remove(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_and_what_was_given_since_is_good_until_a_newer_one_is_said() {
        let link = |given, former: &Tokens, said| {
            let mut tokens = Tokens::new([given; 16]);
            tokens.follow(former, &[said; 16]);
            tokens
        };
        let good = |tokens: &Tokens| (1..=9).filter(|token| tokens.know(&[*token; 16])).collect::<Vec<u8>>();
        let first = Tokens::new([1; 16]);
        let third = link(3, &link(2, &first, 1), 1);
        assert_eq!((good(&third), third.given()), (vec![1, 2, 3], [3; 16]));
        assert_eq!(good(&link(4, &third, 2)), [2, 3, 4]);
        assert_eq!(good(&link(4, &third, 3)), [3, 4]);
        assert_eq!(good(&link(4, &third, 9)), [3, 4], "both dialled");
        let many = (10..100).fold(third, |former, given| link(given, &former, 1));
        assert!(many.known.len() == MOST && many.know(&[1; 16]) && many.know(&[98; 16]) && !many.know(&[2; 16]));
    }
}
