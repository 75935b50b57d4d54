//! Servers on this machine, for those who have none: an identity server where Alice and Bob may sign in, and an API.

use std::{io, path::PathBuf, time::Duration};

use oauth_test_server::{Client, TestServer, User};
use tower_oauth::oauth_tokens::Secret;

use super::Settings;

const ID: &str = "parcels";
const SECRET: &str = "a secret of this machine";
/// Short enough to see it renewed.
const TOKEN_LIFETIME: Duration = Duration::from_secs(60);

/// The rest of the world, embedded. It ends when this is dropped.
#[derive(Debug)]
pub struct LocalServers {
    /// The servers, for whoever wants to look into them.
    pub server: TestServer,
}

impl LocalServers {
    /// Starts both, on free ports.
    ///
    /// # Errors
    ///
    /// When a socket cannot be had.
    pub async fn start() -> io::Result<Self> {
        let server = TestServer::builder()
            .user(person("alice", "Alice Example"))
            .user(person("bob", "Bob Sample"))
            .token_lifetime(Some(TOKEN_LIFETIME))
            .rotate_refresh_tokens(true)
            .refresh_tokens(true)
            .required_scope("parcels")
            .start()
            .await?;
        Ok(Self { server })
    }

    /// Makes the application known that browsers find at this origin, and gives it its settings.
    #[must_use]
    pub fn settings(&self, origin: &str, data: PathBuf, store_keys: Secret) -> Settings {
        let client = Client::new(ID)
            .name("Parcel")
            .secret(SECRET)
            .scopes(["openid", "profile", "email", "parcels", "offline_access"])
            .redirect_uri(format!("{origin}/auth/callback"))
            .post_logout_redirect_uri(format!("{origin}/signed-out"))
            .backchannel_logout_uri(format!("{origin}/auth/backchannel-logout"));
        self.server.set_client(client);
        Settings {
            origin: origin.to_owned(),
            issuer: self.server.issuer().to_owned(),
            client_id: ID.to_owned(),
            client_secret: Secret::new(SECRET),
            scope: "profile email parcels offline_access".to_owned(),
            prompt: None,
            api: self.server.api_url("/parcels"),
            data,
            store_keys,
        }
    }
}

fn person(name: &str, full: &str) -> User {
    User::new(name).password("secret").claim("name", full).claim("email", format!("{name}@example.com"))
}
