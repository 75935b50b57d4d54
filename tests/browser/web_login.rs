//! The example `web_login` in a browser: against the test server, and against oidc-provider.

mod at_oidc_provider;
mod at_test_server;
mod looks;

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use examples::web_login::{LocalServers, Settings, WebLogin};
use oauth_tokens::Secret;
use tests::support::TempFolder;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::browser::Browser;

/// The application, on this machine. It ends when this is dropped.
struct Application {
    origin: String,
    address: SocketAddr,
    settings: Settings,
    _folder: TempFolder,
    serving: Option<Serving>,
}

struct Serving {
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Application {
    /// Under this name of this machine, with servers of these settings, which are told where it is.
    async fn start(host: &str, settings: impl AsyncFnOnce(&str, PathBuf, Secret) -> Settings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let origin = format!("http://{host}:{}", address.port());
        let folder = TempFolder::new();
        let keys = Settings::own_store_keys(&folder.path("data")).expect("a key");
        let settings = settings(&origin, folder.path("data"), keys).await;
        let serving = Some(serve(&settings, listener).await);
        Self { origin, address, settings, _folder: folder, serving }
    }

    async fn at(servers: &LocalServers) -> Self {
        Self::start("127.0.0.1", async |origin, data, keys| servers.settings(origin, data, keys)).await
    }

    /// Until it is [started again](Self::go_on), nobody listens.
    async fn stop(&mut self) {
        let Serving { end, task } = self.serving.take().expect("it serves");
        let _ = end.send(());
        task.await.expect("it ends");
    }

    /// Another process, as it were: with the same address and the same folder.
    async fn go_on(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("the same port");
        self.serving = Some(serve(&self.settings, listener).await);
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }
}

async fn serve(settings: &Settings, listener: TcpListener) -> Serving {
    let app = WebLogin::open(settings).await.expect("an application");
    let (end, ended) = oneshot::channel();
    let ended = async {
        let _ = ended.await;
    };
    let task = tokio::spawn(async move { app.serve(listener, ended).await.expect("it serves") });
    Serving { end, task }
}

/// From the start page to the server's.
async fn begin(browser: &Browser, app: &Application) {
    browser.go(&app.url("/")).await;
    browser.click("#enter").await;
}

/// Asks the API again until the token was renewed: for what happens when real time has passed.
async fn until_renewed(browser: &Browser) {
    for _ in 0..60 {
        assert_eq!(browser.text_at("#status").await, "200 OK");
        if browser.text_at("#renewed").await.contains("UTC") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        browser.reload().await;
    }
    panic!("the token is never renewed");
}
