//! What somebody may have meant.

/// The candidate with the fewest letters to change, if they are few.
pub(super) fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let (distance, best) = candidates.map(|candidate| (distance(name, candidate), candidate)).min()?;
    (distance <= (name.len() / 3).max(1)).then_some(best)
}

/// ": did you mean `x`?", or nothing.
pub(super) fn suggestion<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    nearest(name, candidates).map(|best| format!(": did you mean `{best}`?")).unwrap_or_default()
}

/// Levenshtein's: letters put in, left out or changed.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, right) in b.iter().enumerate() {
            let changed = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_to_change() {
        for (a, b, expected) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("a", "a", 0)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn only_what_is_near() {
        let names = ["name", "data-dir", "cors"];
        assert_eq!(nearest("data_dir", names.into_iter()), Some("data-dir"));
        assert_eq!(nearest("nmae", names.into_iter()), None);
        assert_eq!(nearest("core", names.into_iter()), Some("cors"));
        assert_eq!(nearest("snapshot", names.into_iter()), None);
    }
}
