//! D: discovery of an authorization server's endpoints.

mod down;
mod endpoints;
mod shared;
mod well_known;

use oauth_tokens::{AuthorizationServer, Error, TokenClient};
use tests::canned::Canned;

/// A server by its issuer, whose answers are canned.
fn server_at(canned: &Canned, issuer: &str) -> Result<AuthorizationServer, Error> {
    AuthorizationServer::via(canned.http()).issuer(issuer)
}

fn client_of(server: &AuthorizationServer) -> TokenClient {
    server.client("m2m", oauth_tokens::ClientAuth::secret_basic("secret")).expect("a client")
}
