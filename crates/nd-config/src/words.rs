//! Lines into words, as a shell does it without expanding anything.

/// Splits at blanks; quotes and backslashes keep them together. A quote without its end goes to the end of the line.
pub(crate) fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('"') | None, '\\') => {
                let next = chars.next();
                let kept = next.filter(|next| quote.is_some() && !matches!(next, '"' | '\\' | '$' | '`'));
                let word = word.get_or_insert_default();
                word.extend(kept.map(|_| '\\'));
                word.extend(next.filter(|next| *next != '\n'));
            }
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn quotes_and_backslashes_keep_blanks_together() {
        assert_eq!(
            split(r#"a  "b c" 'd "e' f\ g "" "x\"y" "\n""#),
            ["a", "b c", "d \"e", "f g", "", "x\"y", "\\n"]
        );
        assert_eq!(split("  "), [] as [&str; 0]);
        assert_eq!(split("\"open end"), ["open end"]);
    }
}
