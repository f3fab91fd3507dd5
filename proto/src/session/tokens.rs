//! What a peer says to come back as the process that it was.
//!
//! **Problem.** A waiting side that stood still finds several attempts of a dialler in its backlog. All say the token that the
//! dialler had before, for it read none of the answers; and one that is answered may be dropped before more is read on it.
//!
//! **Choice.** The token that was said stays good, with all that were given since, until a newer one is said: that shows what the
//! peer has read. What is older than what was said is worth nothing.
//!
//! Where one took the place of a peer that was silent, and did not prove to be that one, the tokens given before it stay good as
//! well: as soon as one of them is said the other is found out, and what was given to it since is worth nothing.
//!
//! Capacity: twice [`MOST`]; the second oldest goes, for the oldest is the one that the peer surely has.

/// A listen backlog holds more attempts, but a dialler has few under way (`dialer`).
const MOST: usize = 16;

/// Those that are good for one link, random and given over links to one process.
pub struct Tokens {
    /// From the one that was said, the oldest first; the last was given over this link.
    known: Vec<[u8; 16]>,
    /// Given before to who may be another, the oldest first.
    before: Vec<[u8; 16]>,
}

impl Tokens {
    /// Of a link that is the first.
    pub fn new(given: [u8; 16]) -> Self {
        Tokens { known: vec![given], before: Vec::new() }
    }

    /// The one given over this link.
    pub fn given(&self) -> [u8; 16] {
        self.known.last().copied().unwrap_or_default()
    }

    /// Whether who says this one comes back.
    pub fn know(&self, said: &[u8; 16]) -> bool {
        self.known.contains(said) || self.before.contains(said)
    }

    /// Whether who says this one has its place back from another.
    pub fn are_of_former(&self, said: &[u8; 16]) -> bool {
        self.before.contains(said)
    }

    /// This link takes the place of the one that had `former`, whose peer said `said`: one of them, or none where both sides
    /// dialled. `proved`: it is that peer.
    pub fn follow(&mut self, former: &Tokens, said: &[u8; 16], proved: bool) {
        let from = |line: &[[u8; 16]]| line.iter().position(|known| known == said).map(|at| line[at..].to_vec());
        if !proved {
            // What is given to others who prove nothing adds nothing, and drops none of these.
            let first = if former.before.is_empty() { &former.known } else { &former.before };
            self.before.clone_from(first);
        } else if let Some(line) = from(&former.before) {
            self.known.splice(..0, line);
        } else {
            let line = from(&former.known).unwrap_or_else(|| vec![former.given()]);
            self.known.splice(..0, line);
            self.before.clone_from(&former.before);
        }
        if self.known.len() > MOST {
            // The first is the one that the peer surely has.
            self.known.drain(1..=self.known.len() - MOST);
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
            tokens.follow(former, &[said; 16], true);
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

    #[test]
    fn who_took_a_place_without_proof_is_found_out_when_the_first_is_back() {
        let follow = |given, former: &Tokens, said, proved| {
            let mut tokens = Tokens::new([given; 16]);
            tokens.follow(former, &[said; 16], proved);
            tokens
        };
        let good = |tokens: &Tokens| (1..=9).filter(|token| tokens.know(&[*token; 16])).collect::<Vec<u8>>();
        let first = follow(2, &Tokens::new([1; 16]), 1, true);
        let other = follow(5, &first, 0, false);
        assert_eq!((good(&other), other.given()), (vec![1, 2, 5], [5; 16]), "either may be the one");
        let again = follow(6, &other, 5, true);
        assert_eq!(good(&again), [1, 2, 5, 6], "it comes back as itself");
        let back = follow(7, &again, 1, true);
        assert_eq!((good(&back), back.given()), (vec![1, 2, 7], [7; 16]), "the first is back, and the other was another");
        let many = (10..100).fold(first, |former, given| follow(given, &former, 0, false));
        assert_eq!(good(&many), [1, 2], "however many come between");
        assert!(many.are_of_former(&[2; 16]) && !many.know(&[20; 16]));
    }
}
