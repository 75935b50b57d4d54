use std::collections::HashMap;
use std::fmt;

use serde_json::{Map, Value, json};

/// Somebody who signs in at the authorization server.
///
/// The user name is also the `sub` of the user's tokens. Without a password the name alone will do.
///
/// ```
/// use oauth_test_server::{TestServer, User};
///
/// let alice = User::new("alice").claim("name", "Alice Example").claim("email", "alice@example.com");
/// let bob = User::new("bob").password("correct horse");
/// let server = TestServer::builder().user(alice).user(bob).build();
/// # let _ = server;
/// ```
#[derive(Clone)]
pub struct User {
    pub(crate) name: String,
    pub(crate) password: Option<String>,
    claims: Map<String, Value>,
}

impl User {
    /// A user without password and without claims but `preferred_username`.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        let claims = Map::from_iter([("preferred_username".to_owned(), json!(name))]);
        Self { name, password: None, claims }
    }

    /// What the user has to type besides the name.
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.password = Some(password.into());
        self
    }

    /// A claim such as `name` or `email` (OpenID Connect Core section 5.1). [`Value::Null`] removes it.
    /// Clients see it by the scope that it belongs to: `profile`, `email`, `address` or `phone`; claims
    /// of no such scope come with `openid`.
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        let (name, value) = (name.into(), value.into());
        if value.is_null() {
            self.claims.remove(&name);
        } else {
            self.claims.insert(name, value);
        }
        self
    }

    /// The claims that these scopes open, without `sub`.
    pub(crate) fn claims_for(&self, has_scope: impl Fn(&str) -> bool) -> Map<String, Value> {
        let open = self.claims.iter().filter(|(name, _)| has_scope(scope_of(name)));
        open.map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

/// What a password is shows nowhere.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("name", &self.name).finish_non_exhaustive()
    }
}

/// OpenID Connect Core section 5.4.
fn scope_of(claim: &str) -> &'static str {
    match claim {
        "name" | "family_name" | "given_name" | "middle_name" | "nickname" | "preferred_username" | "profile"
        | "picture" | "website" | "gender" | "birthdate" | "zoneinfo" | "locale" | "updated_at" => "profile",
        "email" | "email_verified" => "email",
        "address" => "address",
        "phone_number" | "phone_number_verified" => "phone",
        _ => "openid",
    }
}

/// Who may sign in.
#[derive(Debug, Default)]
pub(crate) struct Users(HashMap<String, User>);

impl Users {
    pub(crate) fn insert(&mut self, user: User) {
        self.0.insert(user.name.clone(), user);
    }

    /// Whether the page asks for a password.
    pub(crate) fn have_passwords(&self) -> bool {
        self.0.values().any(|user| user.password.is_some())
    }

    /// A user by name. Where none is registered anybody is welcome.
    pub(crate) fn get(&self, name: &str) -> Option<User> {
        if self.0.is_empty() && !name.is_empty() {
            let email = format!("{name}@example.com");
            return Some(User::new(name).claim("name", name).claim("email", email).claim("email_verified", true));
        }
        self.0.get(name).cloned()
    }

    /// The user, if the password is the right one.
    pub(crate) fn sign_in(&self, name: &str, password: Option<&str>) -> Option<User> {
        self.get(name).filter(|user| user.password.is_none() || user.password.as_deref() == password)
    }
}
