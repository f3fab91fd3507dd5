//! What a browser must know to be let in: 128 random bits, or a word that somebody chose.

use data_encoding::BASE64URL_NOPAD;
use zeroize::Zeroizing;

/// The fewest and most letters of a chosen one.
pub const LETTERS: std::ops::RangeInclusive<usize> = 16..=128;

/// See the module text.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The system gives no random numbers.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random numbers ({0})")]
pub struct NoRandomness(getrandom::Error);

impl Token {
    /// A new one.
    pub fn new() -> Result<Token, NoRandomness> {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).map_err(NoRandomness)?;
        Ok(Token(Zeroizing::new(BASE64URL_NOPAD.encode(&bits))))
    }

    /// A chosen one: [`LETTERS`] of `A`–`Z`, `a`–`z`, `0`–`9`, `-` and `_`.
    pub fn chosen(word: &str) -> Option<Token> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        (LETTERS.contains(&word.len()) && word.bytes().all(fits)).then(|| Token(Zeroizing::new(word.to_string())))
    }

    /// As it stands in an address.
    pub fn word(&self) -> &str {
        &self.0
    }

    /// Whether this is it, in a time that says nothing of how much of it is.
    pub fn is(&self, said: &str) -> bool {
        let differ = self.0.bytes().zip(said.bytes()).fold(0, |differ, (own, said)| differ | (own ^ said));
        self.0.len() == said.len() && std::hint::black_box(differ) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_another_and_is_itself_alone() {
        let (one, other) = (Token::new().unwrap(), Token::new().unwrap());
        assert!(one.word().len() == 22 && one.is(one.word()) && !one.is(other.word()));
        assert!(!one.is("") && !one.is(&one.word()[1..]) && !one.is(&format!("{}a", one.word())));
    }

    #[test]
    fn a_chosen_one_is_long_and_stands_in_an_address_as_it_is() {
        assert!(Token::chosen("my-camera_1234567").is_some_and(|token| token.is("my-camera_1234567")));
        for word in ["short", "with spaces in it all", "sixteen/letters/x", "größer-als-sechzehn"] {
            assert!(Token::chosen(word).is_none(), "{word}");
        }
        assert!(Token::chosen(&"a".repeat(129)).is_none());
    }
}
