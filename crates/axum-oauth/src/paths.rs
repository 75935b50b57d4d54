//! Where the routes are, and which paths a user may be sent back to.

use oauth_tokens::SignInRequest;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

const QUERY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

#[derive(Clone, Debug)]
pub(crate) struct Paths {
    root: String,
    pub(crate) login: String,
    pub(crate) callback: String,
    pub(crate) logout: String,
    pub(crate) backchannel_logout: String,
    pub(crate) problem: String,
    pub(crate) signed_out: String,
    /// The application's own pages that are about a sign-in; the start page is more than that.
    pages: Vec<String>,
}

impl Paths {
    pub(crate) fn new(root: &str, pages: [Option<&String>; 2]) -> Self {
        let pages = pages.into_iter().flatten().map(|page| comparable(page));
        let root = root.trim_end_matches('/');
        let below = |name: &str| format!("{root}/{name}");
        Self {
            login: below("login"),
            callback: below("callback"),
            logout: below("logout"),
            backchannel_logout: below("backchannel-logout"),
            problem: below("problem"),
            signed_out: below("signed-out"),
            root: root.to_owned(),
            pages: pages.filter(|page| !page.is_empty()).collect(),
        }
    }

    /// The way to a sign-in that leads back here; where it cannot lead back, it leads to the root.
    pub(crate) fn login_to(&self, return_to: &str) -> String {
        if return_to == "/" || !self.may_return_to(return_to) {
            return self.login.clone();
        }
        format!("{}?return_to={}", self.login, Self::encode(return_to))
    }

    pub(crate) fn encode(path: &str) -> String {
        utf8_percent_encode(path, QUERY).to_string()
    }

    /// A local path, and none of ours: a sign-in that leads to the next one would never end, and one that leads to "You are signed
    /// out" would tell what is not so.
    pub(crate) fn may_return_to(&self, path: &str) -> bool {
        let bare = path.split(['?', '#']).next().unwrap_or_default();
        let bare = comparable(bare);
        let is_route =
            bare.strip_prefix(&comparable(&self.root)).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        SignInRequest::is_return_path(path) && !is_route && !self.pages.contains(&bare)
    }
}

/// Decoded, in one case, and without a slash at its end: whatever somebody's router takes for the same.
fn comparable(path: &str) -> String {
    let decoded = percent_decode_str(path).decode_utf8_lossy().to_ascii_lowercase();
    decoded.trim_end_matches('/').to_owned()
}
