//! What can be said on the command line.

use std::path::PathBuf;

use clap::Parser;

use super::tool::Way;

/// Signs its user in, and calls an API in the user's name.
#[derive(Parser)]
#[command(name = "login")]
pub(crate) struct Args {
    /// The authorization server. Without it, one is embedded, and its user is played.
    #[arg(long, requires = "client_id", requires = "api")]
    issuer: Option<String>,
    /// The public client that this tool is at that server.
    #[arg(long, requires = "issuer")]
    client_id: Option<String>,
    /// What to call at the API: a URL.
    #[arg(long, requires = "issuer")]
    api: Option<String>,
    /// What to ask for.
    #[arg(long, default_value = "openid offline_access api")]
    scope: String,
    /// Where tokens are kept. Default: `tower-oauth-login` in the folder for the state of programs.
    #[arg(long, value_name = "DIR")]
    pub(crate) store: Option<PathBuf>,
    /// Signs in on another device, by a code.
    #[arg(long, conflicts_with_all = ["browser", "print_url"])]
    device: bool,
    /// Prints the URL that the browser is to open, and opens none.
    #[arg(long, conflicts_with = "browser")]
    print_url: bool,
    /// Opens the real browser also for the embedded server.
    #[arg(long, conflicts_with = "issuer")]
    pub(crate) browser: bool,
    /// Signs out: has the server revoke the tokens, and deletes them.
    #[arg(long, requires = "issuer")]
    pub(crate) logout: bool,
}

/// Where this tool is at home.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) api: String,
    pub(crate) scope: String,
}

impl Args {
    pub(crate) fn server(&self) -> Option<Server> {
        Some(Server {
            issuer: self.issuer.clone()?,
            client_id: self.client_id.clone()?,
            api: self.api.clone()?,
            scope: self.scope.clone(),
        })
    }

    pub(crate) fn way(&self) -> Way {
        match self {
            Self { device: true, .. } => Way::Device,
            Self { print_url: true, .. } => Way::PrintedUrl,
            _ => Way::Browser,
        }
    }
}
