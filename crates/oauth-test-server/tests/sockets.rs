//! The server over sockets.

#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use http::{Request, StatusCode, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use oauth_test_server::{Endpoint, Fault, TestServer};
use serde_json::Value;
use tokio::net::TcpStream;

type HttpClient = Client<HttpConnector, Full<Bytes>>;

fn client() -> HttpClient {
    Client::builder(TokioExecutor::new()).build_http()
}

fn token_request(server: &TestServer) -> Request<Full<Bytes>> {
    let form = "grant_type=client_credentials&client_id=m2m&client_secret=secret";
    Request::post(server.token_endpoint())
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::from(form))
        .unwrap()
}

fn api_request(server: &TestServer, token: &str) -> Request<Full<Bytes>> {
    Request::post(server.api_url("/echo"))
        .header("authorization", format!("Bearer {token}"))
        .body(Full::from("hello"))
        .unwrap()
}

async fn read<B: http_body::Body>(response: http::Response<B>) -> Result<Bytes, B::Error> {
    Ok(response.into_body().collect().await?.to_bytes())
}

#[tokio::test]
async fn a_token_and_a_call() {
    let server = TestServer::builder().issuer("https://id.test/tenant").start().await.unwrap();
    assert!(server.issuer().starts_with("http://127.0.0.1:"));
    assert!(server.issuer().ends_with("/tenant"));
    assert_eq!(server.ca_certificate_pem(), None);

    let client = client();
    let url = format!("{}/.well-known/openid-configuration", server.issuer());
    let metadata = Request::get(url).body(Full::default()).unwrap();
    let metadata = read(client.request(metadata).await.unwrap()).await.unwrap();
    let metadata: Value = serde_json::from_slice(&metadata).unwrap();
    assert_eq!(metadata["issuer"], server.issuer());
    assert_eq!(metadata["token_endpoint"], server.token_endpoint());

    let answer = client.request(token_request(&server)).await.unwrap();
    let answer: Value = serde_json::from_slice(&read(answer).await.unwrap()).unwrap();
    let token = answer["access_token"].as_str().unwrap();
    let response = client.request(api_request(&server, token)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(read(response).await.unwrap(), "hello");
    assert_eq!(server.requests_to(Endpoint::Api)[0].uri, "/echo");

    // The same model, without the socket.
    let mut service = server.api_service();
    let request = api_request(&server, token);
    let response = tower::ServiceExt::oneshot(&mut service, request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(server.counters().api_accepted, 2);
}

#[tokio::test]
async fn http2_with_prior_knowledge() {
    let server = TestServer::start().await.unwrap();
    let client: HttpClient = Client::builder(TokioExecutor::new()).http2_only(true).build_http();
    let token = server.issue_access_token("m2m", "api");
    let response = client.request(api_request(&server, &token)).await.unwrap();
    assert_eq!((response.status(), response.version()), (StatusCode::OK, Version::HTTP_2));

    // The connection outlives a broken exchange.
    server.api_faults().push(1, Fault::Disconnect);
    assert!(client.request(api_request(&server, &token)).await.is_err());
    server.api_faults().push(1, Fault::CloseMidBody(StatusCode::OK));
    let response = client.request(api_request(&server, &token)).await.unwrap();
    assert!(read(response).await.is_err());
    let response = client.request(api_request(&server, &token)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn faults_on_the_wire() {
    let server = TestServer::start().await.unwrap();
    let client = client();
    let faults = server.token_faults();

    faults.push(1, Fault::Disconnect);
    assert!(client.request(token_request(&server)).await.is_err());

    // The head comes whole, the body does not.
    faults.push(1, Fault::CloseMidBody(StatusCode::OK));
    let response = client.request(token_request(&server)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let mut body = response.into_body();
    assert!(!body.frame().await.unwrap().unwrap().into_data().unwrap().is_empty());
    assert!(body.frame().await.unwrap().is_err());

    faults.push(1, Fault::Endless(StatusCode::OK));
    let mut response = client.request(token_request(&server)).await.unwrap();
    let mut received = 0;
    while received < 2 << 20 {
        received += response.frame().await.unwrap().unwrap().into_data().unwrap().len();
    }
    drop(response);

    faults.push(1, Fault::Hang);
    let requests = server.counters().token_requests;
    let hanging = tokio::spawn(client.request(token_request(&server)));
    server.arrived(Endpoint::Token, requests + 1).await;
    hanging.abort();
    assert!(hanging.await.unwrap_err().is_cancelled());

    let response = client.request(token_request(&server)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_early_refusal_ends_an_upload() {
    let server = TestServer::builder().reject_early(true).start().await.unwrap();
    // Declares more than it ever sends.
    let mut stream = TcpStream::connect(server.api_origin().trim_start_matches("http://")).await.unwrap();
    let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nabc";
    tokio::io::AsyncWriteExt::write_all(&mut stream, head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
}

#[tokio::test]
async fn sockets_close_with_the_last_handle() {
    let server = TestServer::start().await.unwrap();
    let address = server.api_origin().trim_start_matches("http://").to_owned();
    let mut open = TcpStream::connect(&address).await.unwrap();
    let clone = server.clone();
    drop(server);
    let token = clone.issue_access_token("m2m", "api");
    let response = client().request(api_request(&clone, &token)).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);

    drop(clone);
    let end = tokio::io::AsyncReadExt::read(&mut open, &mut [0]).await;
    assert!(matches!(end, Ok(0) | Err(_)), "the open connection ends");
    assert!(TcpStream::connect(&address).await.is_err());
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn tls_with_its_own_authority() {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    let server = TestServer::builder().tls().start().await.unwrap();
    assert!(server.issuer().starts_with("https://127.0.0.1:"));
    let connect = |roots: rustls::RootCertStore| {
        let config = rustls::ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only()
            .enable_all_versions()
            .build();
        Client::builder(TokioExecutor::new()).build::<_, Full<Bytes>>(connector)
    };

    let stranger = connect(rustls::RootCertStore::empty());
    assert!(stranger.request(token_request(&server)).await.is_err());

    let mut roots = rustls::RootCertStore::empty();
    let pem = server.ca_certificate_pem().unwrap();
    roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
    let client = connect(roots);
    let response = client.request(token_request(&server)).await.unwrap();
    assert_eq!((response.status(), response.version()), (StatusCode::OK, Version::HTTP_2));

    let by_name = server.api_url("/public").replace("127.0.0.1", "localhost");
    let request = Request::get(by_name).body(Full::default()).unwrap();
    assert_eq!(client.request(request).await.unwrap().status(), StatusCode::OK);
}

/// A user before a real browser, as far as HTTP goes, and the client's end of the back channel.
#[tokio::test]
async fn a_user_signs_in_and_out() {
    use oauth_test_server::{Client as OAuthClient, Delivery};

    let app = TestServer::start().await.unwrap();
    // The API's public path stands for the application; nobody listens at the other's.
    let registered = |id: &str, uri: &str| {
        let client = OAuthClient::new(id).secret("s").scopes(["openid"]).redirect_uri("http://127.0.0.1/callback");
        client.post_logout_redirect_uri("http://127.0.0.1/bye").backchannel_logout_uri(uri).without_consent()
    };
    let server = TestServer::builder()
        .client(registered("app", &app.api_url("/public/backchannel")))
        .client(registered("gone", "http://127.0.0.1:1/backchannel"))
        .start()
        .await
        .unwrap();
    let client = client();
    let mut cookies = String::new();
    for id in ["app", "gone"] {
        let url = format!(
            "{}?response_type=code&client_id={id}&redirect_uri=http://127.0.0.1:4711/callback&scope=openid",
            server.authorization_endpoint()
        );
        let request = Request::get(url).header("cookie", &cookies).body(Full::default()).unwrap();
        let mut answer = client.request(request).await.unwrap();
        if answer.status() == StatusCode::OK {
            keep(&mut cookies, &answer);
            let page = String::from_utf8(read(answer).await.unwrap().to_vec()).unwrap();
            let (_, rest) = page.split_once("name=\"interaction\" value=\"").unwrap();
            let form = format!("interaction={}&username=alice", rest.split('"').next().unwrap());
            let request = Request::post(format!("{}/sign-in", server.issuer()))
                .header("content-type", "application/x-www-form-urlencoded")
                .header("cookie", &cookies)
                .body(Full::from(form))
                .unwrap();
            answer = client.request(request).await.unwrap();
            keep(&mut cookies, &answer);
        }
        let location = answer.headers()["location"].to_str().unwrap();
        assert!(location.starts_with("http://127.0.0.1:4711/callback?code="), "{location}");
    }
    assert_eq!(server.counters().sign_ins, 1);

    let hint = server.issue_id_token("app", "alice").unwrap();
    let end =
        format!("{}?id_token_hint={hint}&post_logout_redirect_uri=http://127.0.0.1/bye", server.end_session_endpoint());
    let request = Request::get(end).header("cookie", &cookies).body(Full::default()).unwrap();
    let answer = client.request(request).await.unwrap();
    assert_eq!(answer.headers()["location"], "http://127.0.0.1/bye");
    assert!(answer.headers()["set-cookie"].to_str().unwrap().ends_with("; Max-Age=0"));
    server.backchannel_logouts_delivered(2).await;
    let logouts = server.backchannel_logouts();
    assert_eq!(logouts[0].delivery, Delivery::Answered(StatusCode::OK));
    assert_eq!(logouts[1].delivery, Delivery::Failed);
    let posted = &app.requests_to(Endpoint::Api)[0];
    assert_eq!(posted.form_value("logout_token").as_ref(), Some(&logouts[0].logout_token));
}

/// Adds an answer's cookies to those of the browser.
fn keep<B>(cookies: &mut String, answer: &http::Response<B>) {
    for cookie in answer.headers().get_all("set-cookie") {
        let pair = cookie.to_str().unwrap().split(';').next().unwrap();
        *cookies = format!("{cookies}; {pair}").trim_start_matches("; ").to_owned();
    }
}
