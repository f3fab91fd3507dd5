//! What the handshake takes of Curve25519, with the arithmetic of a toy: both sides still agree, and nothing is secret.
//!
//! Two or four real handshakes a script were half of what the fuzzers did. What a stranger may do is past the handshake, and the
//! handshake itself is met by the real curve in `tests/fuzz_corpus.rs`, which plays the same scripts.

pub mod montgomery {
    /// A product modulo 2^64 in each of four words: `a * (b * base)` is `b * (a * base)`, as of points.
    #[derive(Clone, Copy)]
    pub struct MontgomeryPoint(pub [u8; 32]);

    const BASE: MontgomeryPoint = MontgomeryPoint([9; 32]);

    impl MontgomeryPoint {
        pub fn mul_base_clamped(scalar: [u8; 32]) -> MontgomeryPoint {
            BASE.mul_clamped(scalar)
        }

        pub fn mul_clamped(self, scalar: [u8; 32]) -> MontgomeryPoint {
            let mut product = [0; 32];
            for ((word, factor), out) in self.0.chunks(8).zip(scalar.chunks(8)).zip(product.chunks_mut(8)) {
                let number = |bytes: &[u8]| bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
                // Even factors would lose bits.
                out.copy_from_slice(&(number(word) | 1).wrapping_mul(number(factor) | 1).to_be_bytes());
            }
            MontgomeryPoint(product)
        }

        pub fn to_bytes(&self) -> [u8; 32] {
            self.0
        }
    }
}
