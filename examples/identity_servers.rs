//! How to ask well-known identity servers for a token: what to give as issuer, how to authenticate, what to ask for.
//!
//! ```sh
//! cargo run -p examples --example identity_servers
//! ```
//!
//! Each function builds the `TokenCache` for one server as a program of yours would. Building does no I/O, so all of this
//! runs without a network; the ids and hosts are made up, yours are in the server's console. To try one for real, give
//! the same values to `call_api`.
//!
//! | server | issuer or token endpoint | authentication | ask for | mind |
//! |---|---|---|---|---|
//! | Duende IdentityServer | `https://id.example.com` | `secret_basic` (or `secret_post`) | scopes; `resource` to narrow the audience | `resource` needs its Enterprise Edition |
//! | SimpleIdServer | `https://localhost:5001/master` | `secret_post` | scopes | the realm is a part of the issuer; a development certificate |
//! | PRIMAVERA | token endpoint `https://identity.primaverabss.com/connect/token` | `secret_post` | scope `application` | one server for all its products |
//! | Keycloak | `https://id.example.com/realms/NAME` | `secret_basic` | scopes | the audience comes from a mapper in a client scope, not from a parameter; before version 17 there is an `/auth` before `/realms` |
//! | Auth0 | `https://TENANT.eu.auth0.com/` | `secret_post` | `audience`: the API's identifier | the issuer ends with a slash |
//! | Entra ID | `https://login.microsoftonline.com/TENANT-ID/v2.0` | `secret_post` | scope `api://APP-ID/.default`, one resource only | the tenant's id, not its domain: the metadata speak for the id |
//! | Okta | `https://ORG.okta.com/oauth2/default` | `secret_basic` | a custom scope | the org's own server (without `/oauth2/...`) takes no secret for this grant |
//! | Cognito | `https://cognito-idp.REGION.amazonaws.com/POOL-ID` | `secret_basic_raw` | scopes `RESOURCE-SERVER/NAME` | the user pool needs a domain, its token endpoint is there |

use anyhow::Result;
use examples::table;
use tower_oauth::oauth_tokens::{AuthorizationServer, ClientAuth, Error, HttpClient, Secret, TokenCache};

fn main() -> Result<()> {
    let servers = [duende()?, simple_id_server()?, primavera()?, keycloak()?, auth0()?, entra()?, okta()?, cognito()?];

    println!("{} identity servers, configured without a network:\n", servers.len());
    let head = ["server", "issuer or token endpoint", "authentication", "ask for", "mind"];
    let rows: Vec<_> = std::iter::once(head).chain(servers.iter().map(|server| server.row)).collect();
    table(&rows);

    let idle =
        servers.iter().filter(|server| !server.tokens.status().renewing && !server.tokens.status().usable).count();
    println!("\n{idle} token caches are ready, and none has asked for a token: the first call to an API will.");
    Ok(())
}

/// A server's tokens, and its row in the table.
struct Configured {
    tokens: TokenCache,
    row: [&'static str; 5],
}

/// Where the secret is in production: in a file that can be rotated without a restart.
fn secret() -> Secret {
    Secret::file("/run/secrets/client-secret")
}

/// Duende IdentityServer (and IdentityServer4 before it): endpoints below `/connect`, found by discovery.
///
/// Scopes say what is asked for, and the API resources to which they belong become the audience. Where a scope belongs to
/// several, `resource` (RFC 8707) narrows the token to one of them; that is "resource isolation", of the Enterprise Edition.
fn duende() -> Result<Configured, Error> {
    let client =
        AuthorizationServer::issuer("https://id.example.com")?.client("m2m", ClientAuth::secret_basic(secret()))?;
    let tokens = client.client_credentials().scope("invoices.read").resource("urn:invoices").cached()?;
    Ok(Configured {
        tokens,
        row: [
            "Duende IdentityServer",
            "https://id.example.com",
            "secret_basic",
            "scope, resource",
            "resource: Enterprise Edition",
        ],
    })
}

/// SimpleIdServer: each realm is an issuer of its own (`/master` is there from the start), its token endpoint is
/// `/master/token`, and its clients are registered with `client_secret_post` unless told otherwise.
///
/// On a developer's machine its certificate is a development certificate: its root is trusted here and nowhere else.
fn simple_id_server() -> Result<Configured, Error> {
    // In your program: std::fs::read("dev-root.pem")
    let http = HttpClient::with_root_certificates(DEVELOPMENT_ROOT)?;
    let server = AuthorizationServer::via(http).issuer("https://localhost:5001/master")?;
    let tokens =
        server.client("m2m", ClientAuth::secret_post(secret()))?.client_credentials().scope("read").cached()?;
    Ok(Configured {
        tokens,
        row: ["SimpleIdServer", "https://localhost:5001/master", "secret_post", "scope", "a development certificate"],
    })
}

/// The identity server of PRIMAVERA's products (Jasmin, Rose and others). Its documentation names the token endpoint, so
/// nothing is discovered.
fn primavera() -> Result<Configured, Error> {
    let server = AuthorizationServer::token_endpoint("https://identity.primaverabss.com/connect/token")?;
    let client = server.client("MY-APP", ClientAuth::secret_post(secret()))?;
    let tokens = client.client_credentials().scope("application").cached()?;
    Ok(Configured {
        tokens,
        row: [
            "PRIMAVERA",
            "https://identity.primaverabss.com/connect/token",
            "secret_post",
            "scope application",
            "a token endpoint, no discovery",
        ],
    })
}

/// Stands for the root of a development certificate; nobody has its key.
const DEVELOPMENT_ROOT: &[u8] = b"\
-----BEGIN CERTIFICATE-----
MIIBfzCCASWgAwIBAgIUbJ5KV8gBMbKr098ZkuXYJ/rbkFswCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTA0MzUyOFoYDzIxMjYxMDI4
MDQzNTI4WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAQmWYNQYRCH82XuIhjeua9tha2cxjPMkEaVy73vrK811AXb1KXgVZr3
1zI3iip22qOEEbt9Gbk/pza/JcD+8rneo1MwUTAdBgNVHQ4EFgQU4iO1pmPet4r7
olUAqnY6RU/IoJ8wHwYDVR0jBBgwFoAU4iO1pmPet4r7olUAqnY6RU/IoJ8wDwYD
VR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNIADBFAiA4hONqCRBmTX0seyDD1zCT
KqdJwDwGDLhYB2HzE8UnBwIhAJ/qD2esxFpVEz0awKliLdZe/ijYkBkaFeHCLen/
IzFl
-----END CERTIFICATE-----
";

/// Keycloak: a realm is an issuer, and the client needs "service accounts roles" switched on.
///
/// A parameter cannot choose the audience: an audience mapper in a client scope adds it, and the scope is asked for here if
/// it is optional.
fn keycloak() -> Result<Configured, Error> {
    let server = AuthorizationServer::issuer("https://id.example.com/realms/shop")?;
    let client = server.client("orders-service", ClientAuth::secret_basic(secret()))?;
    let tokens = client.client_credentials().scope("stock-api").cached()?;
    Ok(Configured {
        tokens,
        row: [
            "Keycloak",
            "https://id.example.com/realms/shop",
            "secret_basic",
            "scope",
            "audience by a mapper, not by a parameter",
        ],
    })
}

/// Auth0: `audience` is the identifier of the API, and needed. The scopes follow from what the application was granted.
fn auth0() -> Result<Configured, Error> {
    // The slash at the end is a part of the issuer: metadata must speak for exactly what is given here.
    let server = AuthorizationServer::issuer("https://example.eu.auth0.com/")?;
    let client = server.client("a1B2c3D4e5F6", ClientAuth::secret_post(secret()))?;
    let tokens = client.client_credentials().audience("https://api.example.com/").cached()?;
    Ok(Configured {
        tokens,
        row: ["Auth0", "https://example.eu.auth0.com/", "secret_post", "audience", "the slash at the issuer's end"],
    })
}

/// Microsoft Entra ID: the scope is the API's application ID URI with `/.default`, which stands for all permissions that an
/// administrator has granted; one API per token.
fn entra() -> Result<Configured, Error> {
    // By the tenant's id. A domain works in the URL, too, but the metadata speak for the id; then say so with
    // `AuthorizationServer::via(HttpClient::reqwest()).accept_metadata_issuer("https://.../{id}/v2.0")`.
    let server =
        AuthorizationServer::issuer("https://login.microsoftonline.com/aaaabbbb-0000-cccc-1111-dddd2222eeee/v2.0")?;
    let client = server.client("00001111-aaaa-2222-bbbb-3333cccc4444", ClientAuth::secret_post(secret()))?;
    let tokens = client.client_credentials().scope("api://orders.example.com/.default").cached()?;
    Ok(Configured {
        tokens,
        row: [
            "Entra ID",
            "https://login.microsoftonline.com/{tenant id}/v2.0",
            "secret_post",
            "scope api://.../.default",
            "the tenant's id, not its domain",
        ],
    })
}

/// Okta: a custom authorization server (`default` is one), and a scope that was added to it; there is no user, so the scopes
/// of OpenID Connect are refused. The org's own server only takes signed assertions (`private_key_jwt`) for this grant.
fn okta() -> Result<Configured, Error> {
    let server = AuthorizationServer::issuer("https://example.okta.com/oauth2/default")?;
    let client = server.client("0oa1b2c3d4", ClientAuth::secret_basic(secret()))?;
    let tokens = client.client_credentials().scope("orders.read").cached()?;
    Ok(Configured {
        tokens,
        row: [
            "Okta",
            "https://example.okta.com/oauth2/default",
            "secret_basic",
            "a custom scope",
            "not the org's own server",
        ],
    })
}

/// Amazon Cognito: the issuer is the user pool, but its token endpoint is at the pool's domain, which discovery finds (a pool
/// without a domain has none). Scopes are a resource server's identifier, a slash and a name.
///
/// It reads Basic credentials as they are, without the form-encoding of RFC 6749; so they are sent raw.
fn cognito() -> Result<Configured, Error> {
    let server = AuthorizationServer::issuer("https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_AbCdEfGhI")?;
    let client = server.client("djc98u3jiedmi283eu928", ClientAuth::secret_basic_raw(secret()))?;
    let tokens = client.client_credentials().scope("orders/read").cached()?;
    Ok(Configured {
        tokens,
        row: [
            "Cognito",
            "https://cognito-idp.{region}.amazonaws.com/{pool id}",
            "secret_basic_raw",
            "scope orders/read",
            "the pool needs a domain",
        ],
    })
}
