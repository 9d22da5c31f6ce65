//! "A key with a similar name exists."

/// The known word that was most likely meant, if any is close enough to be worth saying.
pub(crate) fn closest<'k>(found: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let folded = fold(found);
    let scored = known.into_iter().map(|word| (score(&folded, &fold(word)), word));
    scored.filter(|(score, _)| *score >= 0.7).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, word)| word)
}

/// 1 for the same word, 0 for nothing in common; swapped neighbours count as one slip.
fn score(a: &str, b: &str) -> f64 {
    strsim::normalized_damerau_levenshtein(a, b)
}

/// `Max-Restarts`, `maxRestarts` and `max_restarts` are the same slip of style, not three words.
fn fold(word: &str) -> String {
    word.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_word_and_a_stranger_does_not() {
        let known = ["healthcheck", "restart", "env_file", "ports"];
        assert_eq!(closest("heathcheck", known), Some("healthcheck"));
        assert_eq!(closest("envFile", known), Some("env_file"));
        assert_eq!(closest("port", known), Some("ports"));
        assert_eq!(closest("banana", known), None);
        assert_eq!(closest("", known), None);
    }
}
