//! The session's cookie, and what only looks like it.

use http::{HeaderMap, HeaderValue, header::COOKIE};
use percent_encoding::percent_decode;

/// Takes out of a request whatever only becomes the session's cookie when its name is decoded and trimmed, as the layer of sessions
/// does; and the session's cookie itself, if it comes twice.
///
/// Browsers let no other host of the domain set a cookie whose name begins with `__Host-`, but one whose name is
/// `%5F%5FHost-session` is any cookie to them: whoever can set cookies for the domain would choose the session.
pub(crate) fn keep_the_real_one(headers: &mut HeaderMap, name: &str) {
    let kinds = |headers: &HeaderMap| -> (usize, usize) {
        pairs(headers).fold((0, 0), |(real, forged), pair| match Kind::of(pair, name) {
            Kind::Real => (real + 1, forged),
            Kind::Forged => (real, forged + 1),
            Kind::Other => (real, forged),
        })
    };
    let (real, forged) = kinds(headers);
    if real <= 1 && forged == 0 {
        return;
    }
    tracing::warn!("a request brought a cookie that was made to look like its session's");
    let is_kept = |pair: &&[u8]| match Kind::of(pair, name) {
        Kind::Real => real == 1,
        Kind::Forged => false,
        Kind::Other => true,
    };
    let kept = pairs(headers).filter(is_kept).collect::<Vec<_>>().join(&b"; "[..]);
    headers.remove(COOKIE);
    if let Ok(kept) = HeaderValue::from_bytes(&kept)
        && !kept.is_empty()
    {
        headers.insert(COOKIE, kept);
    }
}

enum Kind {
    Real,
    Forged,
    Other,
}

impl Kind {
    fn of(pair: &[u8], session: &str) -> Self {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        if name == session.as_bytes() {
            return Self::Real;
        }
        let decoded = percent_decode(name).decode_utf8_lossy();
        if decoded.trim() == session { Self::Forged } else { Self::Other }
    }
}

/// The pairs, without the blanks around them that browsers leave out, too.
fn pairs(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let pairs = headers.get_all(COOKIE).into_iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    pairs.map(|pair| pair.trim_ascii()).filter(|pair| !pair.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_looks_like_the_session_is_taken_out() {
        let cases: [(&[&str], &str); 14] = [
            (&["__Host-session=A"], "__Host-session=A"),
            (&["a=1; __Host-session=A;b=2"], "a=1; __Host-session=A;b=2"),
            (&["__Host-session=A; %5F%5FHost-session=M"], "__Host-session=A"),
            (&["%5F%5FHost-session=M; __Host-session=A"], "__Host-session=A"),
            (&["__Host-session=A", "__Host%2Dsession=M"], "__Host-session=A"),
            (&["\u{2000}__Host-session=M; __Host-session=A"], "__Host-session=A"),
            (&["__Host-session\u{85}=M; x=1"], "x=1"),
            (&["%20__Host-session=M"], ""),
            (&["%5f%5fhost-session=M"], "%5f%5fhost-session=M"),
            (&["__Host-session=A; __Host-session=B; x=1"], "x=1"),
            (&["__Host-session=A", "__Host-session=A"], ""),
            (&["__Host-sessions=A; session=B"], "__Host-sessions=A; session=B"),
            (&["x=__Host-session=A"], "x=__Host-session=A"),
            (&[""], ""),
        ];
        for (sent, expected) in cases {
            let mut headers = HeaderMap::new();
            for value in sent {
                headers.append(COOKIE, HeaderValue::from_bytes(value.as_bytes()).expect("a header"));
            }
            keep_the_real_one(&mut headers, "__Host-session");
            let left: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
            assert_eq!(left.join(&b"|"[..]), expected.as_bytes(), "{sent:?}");
        }
    }
}
