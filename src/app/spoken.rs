//! Keys for people: words to read aloud, out of the list that BIP 39 made for it (2048 words; the first four letters tell each
//! from all others).

use bip39::Language;
use eyeline_proto::crypto::random;

/// 7 words of 11 bits: 77. Behind Argon2id, of which a machine with a thousand cores tries a hundred thousand a second, half of
/// them take 20 million years.
const WORDS: usize = 7;

/// A key nobody guesses: seven words with dashes between them.
pub fn key() -> String {
    let list = Language::English.word_list();
    // Two bytes for each: 65,536 is a multiple of 2048, so none is likelier than another.
    let bytes: [u8; 2 * WORDS] = random();
    let word = |two: &[u8]| list[usize::from(u16::from_be_bytes([two[0], two[1]])) % list.len()];
    bytes.chunks(2).map(word).collect::<Vec<_>>().join("-")
}

/// Whether it is a word of the list, in whatever letters.
pub fn is_word(text: &str) -> bool {
    Language::English.find_word(&text.to_lowercase()).is_some()
}

/// What was typed, as [`key`] would have written it, where it is such a key said with other letters or spaces; else as it is.
/// Where one of seven words is on no list its place is told, and not the word: it is part of a key.
pub fn normal(typed: &str) -> Result<Option<String>, String> {
    let words: Vec<String> =
        typed.split(|c: char| c.is_whitespace() || c == '-').filter(|word| !word.is_empty()).map(str::to_lowercase).collect();
    let is_strange = |(_, word): &(usize, &String)| !is_word(word);
    let strange: Vec<usize> = (1..).zip(&words).filter(is_strange).map(|(place, _)| place).collect();
    match (words.len(), &strange[..]) {
        (WORDS, []) => Ok(Some(words.join("-"))),
        (WORDS, [place]) => {
            Err(format!("of the key's {WORDS} words number {place} is none of those that `--key new` uses: hear that one again"))
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_key_is_seven_words_of_a_list_and_another_one_each_time() {
        let many: BTreeSet<String> = (0..200).map(|_| key()).collect();
        assert_eq!(many.len(), 200);
        let words: BTreeSet<&str> = many.iter().flat_map(|key| key.split('-')).collect();
        assert!(words.len() > 900, "of 2048, drawn 1400 times: {}", words.len());
        assert!(many.iter().all(|key| key.split('-').count() == WORDS && normal(key) == Ok(Some(key.clone()))));
    }

    #[test]
    fn spaces_and_capitals_do_not_matter_and_one_wrong_word_is_told() {
        let key = "zoo-abandon-year-legal-winner-thank-ability";
        for typed in ["zoo abandon year legal winner thank ability", "Zoo-Abandon  year-legal-WINNER thank - ability "] {
            assert_eq!(normal(typed), Ok(Some(key.to_string())));
        }
        assert!(
            normal("zoo abandon year legal winner thank abilty")
                .is_err_and(|sentence| sentence.contains("number 7") && !sentence.contains("abilty"))
        );
        for other in ["correct horse battery staple", "zoo abandon year", "kq7wr-m3xab-aaaaa-bbbbb-ccccc-ddddd-eeeee", ""] {
            assert_eq!(normal(other), Ok(None), "{other}");
        }
    }
}
