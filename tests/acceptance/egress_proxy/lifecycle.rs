//! Health, figures, limits, the end.

use std::time::Duration;

use oauth_test_server::{Fault, TestServer};
use tests::support::eventually;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

use super::rig::{OK, Rig, Upstream, exchange, header, read_until, request, status};

async fn admin(rig: &Rig, path: &str, host: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    exchange(rig.admin, request.as_bytes()).await
}

#[tokio::test]
async fn p1_health_is_whether_there_are_tokens() {
    let server = TestServer::start().await.expect("servers");
    server.token_faults().push_forever(Fault::oauth_error("temporarily_unavailable"));
    let rig = Rig::before_api(&server).await;
    let answer = admin(&rig, "/healthz", "localhost").await;
    assert_eq!(status(&answer), 503, "{answer}");
    assert!(answer.ends_with(r#"{"status":"not ready","upstreams":{"crm":false}}"#), "{answer}");
    server.token_faults().clear();
    // The failure is remembered for a second at first. However slow the machine is: two hundred tries take ten seconds at least,
    // and slowness makes that more.
    let mut answer = String::new();
    for _ in 0..200 {
        answer = admin(&rig, "/healthz", "localhost").await;
        if status(&answer) == 200 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(answer.ends_with(r#"{"status":"ready","upstreams":{"crm":true}}"#), "{answer}");
    assert!(server.counters().token_requests < 20, "checks do not trouble the authorization server");
    for host in ["evil.example.com", "localhost.evil.example.com", ""] {
        for path in ["/healthz", "/metrics", "/"] {
            assert_eq!(status(&admin(&rig, path, host).await), 421, "{host}, {path}");
        }
    }
    // What is behind the proxy's own port belongs to upstreams.
    for path in ["/healthz", "/metrics"] {
        assert_eq!(status(&rig.get(path, &[]).await), 404, "{path}");
    }
}

#[tokio::test]
async fn p1_labels_are_of_closed_sets() {
    let server = TestServer::start().await.expect("servers");
    let upstream = Upstream::start("HTTP/1.1 777 Odd\r\nContent-Length: 0\r\n\r\n").await;
    let rig = Rig::before(&server, &upstream).await;
    let odd = "INJECTED\"}";
    let answers = [
        rig.send(request("INJECTED", "/crm/injected?token=injected", &["X: injected"], "")).await,
        rig.send(request("GET", "/injected", &["User-Agent: injected"], "")).await,
        rig.send(request("GET", "/crm/x", &["Host: injected"], "")).await,
        rig.send(request(odd, "/crm/x", &[], "")).await,
    ];
    assert_eq!(answers.map(|answer| status(&answer)), [777, 404, 400, 400]);
    let seen = admin(&rig, "/metrics", "localhost").await;
    assert_eq!(header(&seen, "content-type"), ["text/plain; version=0.0.4; charset=utf-8"]);
    let (_, figures) = seen.split_once("\r\n\r\n").expect("a body");
    assert!(!figures.to_ascii_lowercase().contains("injected"), "{figures}");
    let expected = [
        r#"http_request_method="_OTHER",http_response_status_class="other""#,
        r#"egress_proxy_problems_total{code="no_upstream"}"#,
        r#"egress_proxy_problems_total{code="bad_host"}"#,
        "http_server_active_requests",
    ];
    for line in expected {
        assert!(figures.contains(line), "{line}: {figures}");
    }
    for secret in ["127.0.0.1", "localhost", "m2m", "secret"] {
        assert!(!figures.contains(secret), "{secret}: {figures}");
    }
}

#[tokio::test]
async fn p1_requests_under_way_come_to_their_end() {
    let server = TestServer::start().await.expect("servers");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let origin = format!("http://{}", listener.local_addr().expect("its address"));
    let mut rig = Rig::start(&server, &origin, |_| {}).await;
    let (mut idle, mut caller) = (rig.connect().await, rig.connect().await);
    caller.write_all(request("GET", "/crm/x", &[], "").as_bytes()).await.expect("written");
    let (mut upstream, _) = listener.accept().await.expect("a connection");
    read_until(&mut upstream, "\r\n\r\n").await;

    drop(rig.end.take());
    let mut nothing = [0; 1];
    let closed = tokio::io::AsyncReadExt::read(&mut idle, &mut nothing).await;
    assert!(!closed.is_ok_and(|length| length > 0), "who has asked nothing has nothing to wait for");
    while TcpStream::connect(rig.address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let answer = admin(&rig, "/healthz", "localhost").await;
    assert!(status(&answer) == 503 && answer.contains("ending"), "{answer}");
    assert!(!rig.serving.is_finished());
    upstream.write_all(OK.as_bytes()).await.expect("written");
    let answer = read_until(&mut caller, "ok").await;
    assert_eq!(status(&answer), 200, "{answer}");
    eventually("the end", || rig.serving.is_finished()).await;
}

#[tokio::test]
async fn p1_requests_that_never_end_are_cut_off() {
    let server = TestServer::start().await.expect("servers");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let origin = format!("http://{}", listener.local_addr().expect("its address"));
    let change = |settings: &mut examples::egress_proxy::Settings| {
        settings.timeouts.shutdown = Duration::from_millis(200);
    };
    let mut rig = Rig::start(&server, &origin, change).await;
    let mut caller = rig.connect().await;
    caller.write_all(request("GET", "/crm/x", &[], "").as_bytes()).await.expect("written");
    let (mut upstream, _) = listener.accept().await.expect("a connection");
    read_until(&mut upstream, "\r\n\r\n").await;
    drop(rig.end.take());
    eventually("the end", || rig.serving.is_finished()).await;
}

#[tokio::test]
async fn p1_a_caller_that_dawdles_is_let_go_and_places_are_bounded() {
    let server = TestServer::start().await.expect("servers");
    let upstream = Upstream::start(OK).await;
    let change = |settings: &mut examples::egress_proxy::Settings| {
        settings.limits.connections = 1;
        settings.timeouts.request_head = Duration::from_millis(300);
    };
    let rig = Rig::start(&server, &upstream.origin, change).await;
    let began = std::time::Instant::now();
    let mut dawdler = rig.connect().await;
    dawdler.write_all(b"GET /crm/x HTTP/1.1\r\nHost: local").await.expect("written");
    // There is one place, and it has it, until the head has taken too long.
    let answer = rig.get("/crm/x", &[]).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(began.elapsed() >= Duration::from_millis(200), "there was a second place");

    // Whoever reaches the listener for health checks has a few places, and no longer.
    let began = std::time::Instant::now();
    let mut dawdlers = Vec::new();
    for _ in 0..16 {
        let mut dawdler = TcpStream::connect(rig.admin).await.expect("a connection");
        dawdler.write_all(b"GET /healthz HTTP/1.1\r\nHost: local").await.expect("written");
        dawdlers.push(dawdler);
    }
    let answer = admin(&rig, "/healthz", "localhost").await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(began.elapsed() >= Duration::from_millis(200), "there was a seventeenth place");
}
