//! The servers' other endpoints and the API, by plain requests: what a test checks against.

use std::sync::LazyLock;

use oauth_tokens::AccessToken;
use reqwest::{Client, StatusCode, redirect::Policy};
use serde_json::Value;

use crate::server::RealServer;

/// A client without any of ours. It keeps no connections, as each test has a runtime of its own.
pub(crate) fn plain() -> &'static Client {
    static SHARED: LazyLock<Client> = LazyLock::new(|| {
        let builder = Client::builder().no_proxy().redirect(Policy::none()).pool_max_idle_per_host(0);
        builder.build().expect("a client")
    });
    &SHARED
}

impl RealServer {
    /// What the API says to this token.
    pub(crate) async fn call(&self, token: &AccessToken) -> (StatusCode, Value) {
        let url = self.api("/plain");
        let response = plain().get(url).header("authorization", token.authorization()).send().await.expect("an answer");
        let status = response.status();
        (status, response.json().await.unwrap_or_default())
    }

    /// Revokes a token (RFC 7009), as its owner.
    pub(crate) async fn revoke(&self, role: &str, token: &AccessToken) {
        let answer = self.ask("revocation_endpoint", role, token).await;
        assert_eq!(answer.status(), 200, "{} revokes", self.text("/server"));
    }

    /// What introspection (RFC 7662) says of a token.
    pub(crate) async fn introspect(&self, token: &AccessToken) -> Value {
        let answer = self.ask("introspection_endpoint", "api", token).await;
        assert_eq!(answer.status(), 200, "{} introspects", self.text("/server"));
        answer.json().await.expect("JSON")
    }

    async fn ask(&self, endpoint: &str, role: &str, token: &AccessToken) -> reqwest::Response {
        let (url, known) = (self.text(&format!("/{endpoint}")), self.registered(role));
        let body = format!("token={}", token.secret());
        plain()
            .post(url)
            .basic_auth(known.id, Some(known.secret))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body)
            .send()
            .await
            .expect("an answer")
    }

    /// What the server has counted so far.
    pub(crate) async fn stats(&self) -> Value {
        let url = format!("{}/stats", self.text("/admin"));
        plain().get(url).send().await.expect("an answer").json().await.expect("JSON")
    }

    /// How many tokens the client in this role has been given.
    pub(crate) async fn issued(&self, role: &str) -> u64 {
        self.stats().await["issued"][self.registered(role).id].as_u64().unwrap_or_default()
    }

    /// A refresh token, as a user's sign-in leaves it behind.
    pub(crate) async fn sign_in(&self, role: &str) -> String {
        let order = format!("refresh-token?client_id={}", self.of_client(role, "id"));
        self.admin(&order, "refresh_token").await
    }

    /// Has something done at the server that no client can do, and gives one field of the answer.
    pub(crate) async fn admin(&self, order: &str, field: &str) -> String {
        let url = format!("{}/{order}", self.text("/admin"));
        let done: Value = plain().post(url).send().await.expect("an answer").json().await.expect("JSON");
        done[field].as_str().unwrap_or_else(|| panic!("{order}: {done}")).to_owned()
    }
}
