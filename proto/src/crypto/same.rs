//! The proof that two connections are of one process.
//!
//! HMAC-SHA-256 (RFC 2104), keyed with a token that one side gave the other over the one connection, of the handshake hashes
//! (Noise §11.2, channel binding) of both. The key is known only to the two ends of the connection it was given over, so nobody
//! else can make it, and it tells nobody the token; with the hashes nobody can pass on a proof that was made for other
//! connections.

use ring::hmac;

/// Of a handshake hash, and of a proof.
pub const LEN: usize = 32;

fn hashes(over: &[u8; LEN], of: &[u8; LEN]) -> [u8; 2 * LEN] {
    let mut both = [0; 2 * LEN];
    both[..LEN].copy_from_slice(over);
    both[LEN..].copy_from_slice(of);
    both
}

/// To be said over the connection with handshake hash `over`, by the one to whom `token` was given over the one with hash `of`.
pub fn prove_same(token: &[u8; 16], over: &[u8; LEN], of: &[u8; LEN]) -> [u8; LEN] {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, token), &hashes(over, of));
    let mut proof = [0; LEN];
    proof.copy_from_slice(tag.as_ref());
    proof
}

/// Whether `proof`, which came over the connection with handshake hash `over`, is of the one to whom we gave `token` over the
/// other.
pub fn proves_same(proof: &[u8; LEN], token: &[u8; 16], over: &[u8; LEN], of: &[u8; LEN]) -> bool {
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, token), &hashes(over, of), proof).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::hex;

    #[test]
    fn a_proof_is_good_for_its_two_connections_its_token_and_its_direction() {
        let (token, over, of) = ([1; 16], [2; LEN], [3; LEN]);
        let proof = prove_same(&token, &over, &of);
        // Made with another program: HMAC-SHA-256 of 32 times 02 and 32 times 03.
        assert_eq!(hex(&proof), "c27a86dffee23fdbacaab950029f6394e0b20778c65a39169fd5bb81464704c0");
        assert!(proves_same(&proof, &token, &over, &of));
        assert!(!proves_same(&proof, &[9; 16], &over, &of) && !proves_same(&proof, &token, &of, &over));
        assert!(!proves_same(&proof, &token, &[9; LEN], &of) && !proves_same(&proof, &token, &over, &[9; LEN]));
    }
}
