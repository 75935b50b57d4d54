//! Bodies, both ways: streamed, whole, framed as they came.

use std::time::Duration;

use oauth_test_server::{Endpoint, TestServer};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
};

use super::rig::{OK, Rig, Upstream, header, read_until, request, status};

#[tokio::test]
async fn p1_bodies_are_streamed_both_ways() {
    let server = TestServer::start().await.expect("servers");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let origin = format!("http://{}", listener.local_addr().expect("its address"));
    let rig = Rig::start(&server, &origin, |_| {}).await;

    let mut caller = rig.connect().await;
    let head = request("POST", "/crm/x", &["Transfer-Encoding: chunked"], "5\r\nfirst\r\n");
    caller.write_all(head.as_bytes()).await.expect("written");
    let (mut upstream, _) = listener.accept().await.expect("a connection");
    // Before the request has ended, its beginning is there; and so is the answer's.
    read_until(&mut upstream, "first").await;
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n";
    upstream.write_all(head).await.expect("written");
    read_until(&mut caller, "early").await;
    caller.write_all(b"6\r\nsecond\r\n").await.expect("written");
    read_until(&mut upstream, "second").await;
    caller.write_all(b"0\r\n\r\n").await.expect("written");
    read_until(&mut upstream, "0\r\n\r\n").await;
    upstream.write_all(b"4\r\nlate\r\n0\r\n\r\n").await.expect("written");
    read_until(&mut caller, "0\r\n\r\n").await;
}

#[tokio::test]
async fn p1_a_streamed_body_is_sent_again_after_a_401() {
    let chunk = format!("1000\r\n{}\r\n", "z".repeat(0x1000));
    for (chunks, expected) in [(15, 200), (17, 401)] {
        let (server, rig) = with_a_dead_token().await;
        let body = chunk.repeat(chunks) + "0\r\n\r\n";
        let answer = rig.send(request("POST", "/crm/echo", &["Transfer-Encoding: chunked"], &body)).await;
        assert_eq!(status(&answer), expected, "{chunks} chunks of 4 KiB");
        if expected == 200 {
            assert_eq!(answer.matches('z').count(), 0x1000 * chunks);
            assert_eq!(server.counters().api_unauthorized, 1);
        } else {
            // Too long to be sent again: the caller may do so, with the token that is renewed meanwhile.
            assert_eq!(header(&answer, "www-authenticate").len(), 1, "{answer}");
        }
    }
    let (server, rig) = with_a_dead_token().await;
    let answer = rig.send(request("POST", "/crm/echo", &["Content-Length: 9"], "a long te")).await;
    assert!(status(&answer) == 200 && answer.ends_with("a long te"), "{answer}");
    let sent = server.requests_to(Endpoint::Api);
    assert_eq!(sent.len(), 3);
    for sent in &sent[1..] {
        assert_eq!(sent.headers["content-length"], "9", "its length is known both times");
        assert!(!sent.headers.contains_key("transfer-encoding"));
    }
}

/// A proxy whose token the API does not know any more.
async fn with_a_dead_token() -> (TestServer, Rig) {
    let server = TestServer::start().await.expect("servers");
    let rig = Rig::before_api(&server).await;
    assert_eq!(status(&rig.get("/crm/x", &[]).await), 200);
    server.revoke_access_tokens();
    (server, rig)
}

#[tokio::test]
async fn p1_lengths_stay_as_they_were() {
    let server = TestServer::start().await.expect("servers");
    let cases = [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n", Some("1234"), ""),
        ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", None, ""),
        // Its length may be left out (RFC 9110, section 8.6), and hyper does.
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 1234\r\nETag: \"7\"\r\n\r\n", None, ""),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", None, ""),
        ("GET", OK, Some("2"), "ok"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Some("0"), ""),
        (
            "GET",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            None,
            "2\r\nok\r\n0\r\n\r\n",
        ),
        (
            "GET",
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/9\r\nContent-Length: 2\r\n\r\nok",
            Some("2"),
            "ok",
        ),
    ];
    for (method, answer, length, body) in cases {
        let upstream = Upstream::start(answer).await;
        let rig = Rig::before(&server, &upstream).await;
        let came = rig.send(request(method, "/crm/x", &[], "")).await;
        assert_eq!(status(&came), status(answer), "{method}, {answer:?}: {came:?}");
        assert_eq!(header(&came, "content-length"), Vec::from_iter(length), "{method}, {answer:?}: {came:?}");
        assert!(came.split_once("\r\n\r\n").is_some_and(|(_, came)| came == body), "{method}, {answer:?}: {came:?}");
        let seen = upstream.last();
        let framing = [header(&seen, "content-length"), header(&seen, "transfer-encoding")].concat();
        assert!(framing.is_empty(), "there is no body: {seen}");
    }
}

#[tokio::test]
async fn p1_a_body_is_asked_for_once_there_is_somebody_for_it() {
    let server = TestServer::start().await.expect("servers");
    let rig = Rig::before_api(&server).await;
    let lines = ["Content-Length: 4", "Expect: 100-continue"];
    let mut caller = rig.connect().await;
    caller.write_all(request("POST", "/crm/echo", &lines, "").as_bytes()).await.expect("written");
    let first = read_until(&mut caller, "\r\n\r\n").await;
    assert!(first.starts_with("HTTP/1.1 100 "), "{first}");
    caller.write_all(b"body").await.expect("written");
    read_until(&mut caller, "\r\n\r\nbody").await;
    let sent = server.requests_to(Endpoint::Api);
    assert!(!sent[0].headers.contains_key("expect"), "it is met here");

    let refusals = [
        request("POST", "/nothing", &lines, ""),
        request("POST", "/crm/x", &[&lines[..], &["Origin: null"]].concat(), ""),
    ];
    for refused in refusals {
        let answer = rig.send(refused).await;
        assert!([403, 404].contains(&status(&answer)), "{answer}");
    }
}

#[tokio::test]
async fn p1_a_body_that_stands_still_ends_its_request() {
    let server = TestServer::start().await.expect("servers");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let origin = format!("http://{}", listener.local_addr().expect("its address"));
    let rig = Rig::start(&server, &origin, |settings| settings.timeouts.idle = Duration::from_millis(200)).await;

    let mut caller = rig.connect().await;
    caller.write_all(request("POST", "/crm/x", &["Content-Length: 9"], "half").as_bytes()).await.expect("written");
    let (mut upstream, _) = listener.accept().await.expect("a connection");
    read_until(&mut upstream, "half").await;
    let answer = read_until(&mut caller, "}").await;
    assert_eq!(status(&answer), 408, "{answer}");

    let mut caller = rig.connect().await;
    caller.write_all(request("GET", "/crm/x", &[], "").as_bytes()).await.expect("written");
    let (mut upstream, _) = listener.accept().await.expect("a connection");
    read_until(&mut upstream, "\r\n\r\n").await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf").await.expect("written");
    read_until(&mut caller, "half").await;
    // It must not look whole.
    assert_eq!(rest(&mut caller).await, "", "the connection is closed before the length is there");
}

#[tokio::test]
async fn p1_a_caller_that_reads_nothing_gives_up_its_place() {
    let server = TestServer::start().await.expect("servers");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let origin = format!("http://{}", listener.local_addr().expect("its address"));
    let rig = Rig::start(&server, &origin, |settings| settings.timeouts.idle = Duration::from_millis(200)).await;
    let mut caller = rig.connect().await;
    caller.write_all(request("GET", "/crm/x", &[], "").as_bytes()).await.expect("written");
    let (mut upstream, _) = listener.accept().await.expect("a connection");
    read_until(&mut upstream, "\r\n\r\n").await;
    upstream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").await.expect("written");
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let endless = async { while upstream.write_all(chunk.as_bytes()).await.is_ok() {} };
    let given_up = tokio::time::timeout(Duration::from_secs(20), endless).await;
    given_up.expect("the proxy should have given up the caller, and with it the upstream");
}

#[tokio::test]
async fn p1_an_upload_may_take_its_time_as_long_as_it_moves() {
    let server = TestServer::start().await.expect("servers");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let origin = format!("http://{}", listener.local_addr().expect("its address"));
    let limit = Duration::from_secs(2);
    let rig = Rig::start(&server, &origin, |settings| settings.timeouts.response_head = limit).await;
    let mut caller = rig.connect().await;
    let head = request("POST", "/crm/x", &["Content-Length: 10"], "");
    caller.write_all(head.as_bytes()).await.expect("written");
    let (mut upstream, _) = listener.accept().await.expect("a connection");
    read_until(&mut upstream, "\r\n\r\n").await;

    // From here on, time goes on by hand alone. A paused clock would go on by itself whenever all wait for a socket, but not
    // while a thread is at work.
    let (done, at_work) = std::sync::mpsc::channel::<()>();
    let thread = tokio::task::spawn_blocking(move || at_work.recv());
    tokio::time::pause();
    for _ in 0..10 {
        caller.write_all(b"x").await.expect("written");
        read_until(&mut upstream, "x").await;
        tokio::time::advance(limit * 9 / 10).await;
    }
    upstream.write_all(OK.as_bytes()).await.expect("written");
    let answer = read_until(&mut caller, "ok").await;
    assert_eq!(status(&answer), 200, "{answer}");
    drop(done);
    thread.await.expect("its end").expect_err("nothing was sent");
}

async fn rest(stream: &mut TcpStream) -> String {
    use tokio::io::AsyncReadExt;
    let mut rest = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest)).await;
    let _ = read.expect("the proxy should have closed the connection");
    String::from_utf8_lossy(&rest).into_owned()
}
