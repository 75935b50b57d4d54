//! The tool.

use std::path::Path;

use anyhow::{Result, anyhow, ensure};
use examples::chain;
use oauth_test_server::TestServer;
use reqwest_middleware::ClientWithMiddleware;
use tower_oauth::{
    OAuthLayer,
    oauth_tokens::{
        AuthorizationServer, ClientAuth, DeviceAuthorization, Error, ErrorKind, Prompt, SignedIn, TokenClient,
        UserTokens,
    },
};

use super::{Server, demo, keys};

/// One user a folder: it is the user's own.
const USER: &str = "me";

pub(crate) struct Tool {
    server: Server,
    client: TokenClient,
    users: UserTokens<String>,
    api: ClientWithMiddleware,
}

/// How the user signs in.
pub(crate) enum Way {
    Browser,
    PrintedUrl,
    Device,
    /// Nobody is there: the user is played.
    Played(TestServer),
}

impl Tool {
    /// What it takes, without asking anybody: the server may be down, as long as nobody has to sign in.
    pub(crate) fn new(server: Server, folder: &Path) -> Result<Self> {
        let client = AuthorizationServer::issuer(&server.issuer)?.client(&server.client_id, ClientAuth::none())?;
        let users = UserTokens::new(client.clone()).store(keys::store(folder)?);
        let origin = reqwest::Url::parse(&server.api)?.origin().ascii_serialization();
        let api =
            OAuthLayer::keyed(origin.as_str(), &users)?.key(USER.to_owned()).reqwest(reqwest::Client::builder())?;
        Ok(Self { server, client, users, api })
    }

    /// Goes on with what is stored, renewed if need be; else the user signs in.
    pub(crate) async fn ready(&self, way: Way) -> Result<()> {
        match self.users.token(&USER.to_owned()).await {
            Ok(_) => {
                println!("Still signed in{}.", self.name().await?);
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::SignInRequired => {}
            Err(error) => return Err(anyhow!(chain(&error))),
        }
        let signed_in = self.sign_in(way).await.map_err(|error| anyhow!(chain(&error)))?;
        self.users.sign_in(&USER.to_owned(), signed_in).await?;
        println!("Signed in{}.", self.name().await?);
        Ok(())
    }

    async fn sign_in(&self, way: Way) -> Result<SignedIn, Error> {
        // Servers give a refresh token only to who was asked (OpenID Connect Core, section 11).
        let sign_in = self
            .client
            .native_sign_in()
            .scope(&self.server.scope)
            .prompt(Prompt::CONSENT)
            .application("the login tool");
        let sign_in = sign_in.or_device(show_code);
        match way {
            Way::Browser => {
                sign_in
                    .show_url(|url| eprintln!("Your browser opens, for you to sign in. If it does not, open {url}"))
                    .run()
                    .await
            }
            Way::PrintedUrl => {
                let print = |url: &str| {
                    println!("Open {url}");
                    Ok(())
                };
                sign_in.open_with(print).run().await
            }
            Way::Device => sign_in.run_on_device().await,
            Way::Played(server) => sign_in.open_with(move |url| demo::play(&server, url)).run().await,
        }
    }

    /// ` as ...`, if the server said who it is.
    async fn name(&self) -> Result<String, Error> {
        let id_token = self.users.id_token(&USER.to_owned()).await?;
        Ok(id_token.map(|user| format!(" as {}", user.subject())).unwrap_or_default())
    }

    /// Calls the API. The token is none of this function's business.
    pub(crate) async fn call(&self) -> Result<()> {
        let response = self.api.get(&self.server.api).send().await.map_err(|error| anyhow!(chain(&error)))?;
        let status = response.status();
        println!("The API answers {status}: {}", response.text().await?);
        ensure!(status.is_success(), "the call was refused");
        Ok(())
    }

    pub(crate) async fn sign_out(&self) -> Result<()> {
        self.users.forget(&USER.to_owned()).await.map_err(|error| anyhow!(chain(&error)))?;
        println!("Signed out.");
        Ok(())
    }
}

fn show_code(device: &DeviceAuthorization) {
    println!("Open {} and enter the code {}", device.verification_uri(), device.user_code());
}
