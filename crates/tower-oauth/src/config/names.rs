//! Names of settings: which are shown, and which are meant.

/// Names of a table's settings.
pub(super) type Keys = &'static [&'static str];

/// The longest name that is shown.
const MAX_SHOWN: usize = 40;

/// The path of a setting in a table: `client.id`, `origins[1]`.
pub(super) fn join(path: &str, key: &str) -> String {
    match (path, is_index(key)) {
        ("", _) => key.to_owned(),
        (path, true) => format!("{path}[{key}]"),
        (path, false) => format!("{path}.{key}"),
    }
}

pub(super) fn is_index(key: &str) -> bool {
    !key.is_empty() && key.len() <= 4 && key.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a name looks like one. What holds digits or is long may be a secret in the wrong place.
pub(super) fn is_shown(key: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'-' | b'.');
    !key.is_empty() && key.len() <= MAX_SHOWN && key.bytes().all(is_word)
}

/// The known name that was probably meant.
pub(super) fn nearest(key: &str, known: Keys) -> Option<&'static str> {
    let key = key.to_ascii_lowercase().replace(['-', '.'], "_");
    let close = |name: &&&str| distance(&key, name) <= 1 + name.len() / 5;
    let by_spelling = known.iter().filter(close).min_by_key(|name| distance(&key, name));
    // `client_id` for `id`, `scopes` for `scope`.
    let by_part = || known.iter().find(|name| key.split('_').any(|part| part == **name));
    by_spelling.or_else(by_part).copied()
}

/// How many letters must be added, left out or exchanged to make one of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, a) in one.bytes().enumerate() {
        let mut diagonal = at;
        row[0] = at + 1;
        for (column, b) in other.bytes().enumerate() {
            let exchanged = diagonal + usize::from(a != b);
            diagonal = row[column + 1];
            row[column + 1] = exchanged.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_names() {
        let known: Keys = &["issuer", "token_endpoint", "override_token_endpoint", "id", "secret", "scope"];
        let cases = [
            ("isuer", Some("issuer")),
            ("Issuer", Some("issuer")),
            ("issuers", Some("issuer")),
            ("token-endpoint", Some("token_endpoint")),
            ("tokenEndpoint", Some("token_endpoint")),
            ("client_id", Some("id")),
            ("client_secret", Some("secret")),
            ("scopes", Some("scope")),
            ("x", None),
            ("", None),
            ("authority", None),
        ];
        for (key, name) in cases {
            assert_eq!(nearest(key, known), name, "{key}");
        }
    }

    #[test]
    fn s1_names_that_are_shown() {
        for name in ["isuer", "clientId", "token-endpoint", "server.issuer"] {
            assert!(is_shown(name), "{name}");
        }
        for name in ["", "hunter2", "a b", "é", "line\nend", &"x".repeat(41), "c2VjcmV0Cg=="] {
            assert!(!is_shown(name), "{name}");
        }
    }
}
