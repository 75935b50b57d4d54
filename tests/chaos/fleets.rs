//! Lanes of processes that share a store: fleets of one client each, and users who signed in.

use std::time::Duration;

use oauth_test_server::TestServer;
use oauth_tokens::{AccessToken, ClientAuth, FileStore, SharedStore, StoreKeys, TokenSet, UserTokens};
use oauth_tokens_redis::RedisStore;
use tests::{redis::RedisServer, support::TempFolder};
use tower::ServiceExt;
use tower_oauth::OAuthLayer;

use super::{
    lanes::{ApiClient, Lane, answer, authorization_server, request_of, single},
    scout::Scout,
    way_out::WayOut,
};

/// As many processes share each store.
pub(crate) const PROCESSES: usize = 2;
pub(crate) const FLEETS: usize = 10;
/// Not many: a store of files is for a tool's tokens.
pub(crate) const USERS: usize = 10;
/// The client where users sign in.
pub(crate) const APP: &str = "app";

pub(crate) fn fleet(number: usize) -> String {
    format!("fleet-{number}")
}

/// Random bytes would do as well: nobody else has these stores.
fn keys() -> StoreKeys {
    StoreKeys::new("c3RvcmUga2V5cyBvZiB0aGUgY2hhb3MgcHJvZ3JhbSE=")
}

/// Clients whose processes share tokens in a Redis; in a folder when there is none.
pub(crate) fn fleet_lanes(
    (server, way_out): (&TestServer, &WayOut),
    redis: Option<&RedisServer>,
    folder: &TempFolder,
    client: &ApiClient,
) -> (Vec<Lane>, Vec<Scout>) {
    let mut scouts = Vec::new();
    let process = |number| {
        let store = match redis {
            Some(redis) => SharedStore::new(RedisStore::new(&redis.url(), keys()).expect("a store")),
            None => SharedStore::new(FileStore::new(folder.path("fleets")).encrypted(keys())),
        };
        let authorization = authorization_server(server, way_out);
        scouts.push(Scout::of(&authorization, number));
        let lane = move |identity: String| {
            let request = request_of(&authorization, &identity);
            single(&identity, server, request.stored(store.clone()).cached().expect("a cache"), client)
        };
        (0..FLEETS).map(fleet).map(lane)
    };
    let lanes = (0..PROCESSES).flat_map(process).collect();
    (lanes, scouts)
}

/// Users who have signed in, known by their scope.
pub(crate) async fn user_lanes(
    (server, way_out): (&TestServer, &WayOut),
    folder: &TempFolder,
    client: &ApiClient,
) -> (Vec<Lane>, Vec<Scout>) {
    let (mut lanes, mut scouts) = (Vec::new(), Vec::new());
    for process in 0..PROCESSES {
        let authorization = authorization_server(server, way_out);
        scouts.push(Scout::of(&authorization, process));
        let app = authorization.client(APP, ClientAuth::secret_post("secret")).expect("a client");
        let users = UserTokens::new(app).store(FileStore::new(folder.path("users")).encrypted(keys()));
        let layer = OAuthLayer::keyed(server.api_origin(), &users).expect("a layer");
        let api = layer.layer(client.clone());
        for number in 0..USERS {
            let user = format!("user-{number}");
            if process == 0 {
                users.sign_in(&user, signed_in(server, &user)).await.expect("they are saved");
            }
            let (service, cache) = (api.key(user.clone()), users.get(&user).expect("there is room"));
            let send = move |request| answer(service.clone().oneshot(request));
            lanes.push(Lane::of(user, server, send, Some(cache)).told_by("scope"));
        }
    }
    (lanes, scouts)
}

/// What a sign-in brings; the access token has had its use.
fn signed_in(server: &TestServer, user: &str) -> TokenSet {
    let access = AccessToken::bearer(&server.issue_access_token(APP, user)).expect("a token");
    let mut tokens = TokenSet::new(access).expiring_in(Duration::ZERO);
    tokens.refresh_token = Some(server.issue_refresh_token(APP, user).into());
    tokens
}
