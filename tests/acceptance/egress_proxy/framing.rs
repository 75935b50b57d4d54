//! Requests that two servers might read in two ways (request smuggling).

use oauth_test_server::TestServer;
use tokio::io::AsyncWriteExt;

use super::rig::{OK, Rig, Upstream, header, read_until, request, status};

const SMUGGLED: &str = "GET /v2/admin HTTP/1.1\r\nHost: localhost\r\n\r\n";
const LAST: &str = "GET /end HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

#[tokio::test]
async fn p1_what_could_be_read_in_two_ways_is_refused_or_framed_anew() {
    let server = TestServer::start().await.expect("servers");
    let upstream = Upstream::start(OK).await;
    let rig = Rig::before(&server, &upstream).await;
    let heads = [
        // Two lengths, in every way there is.
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Content-Length: 0\r\nContent-Length: 48\r\n",
        "Content-Length: 0, 48\r\n",
        "Content-Length: +0\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x0\r\n",
        "Content-Length: 18446744073709551617\r\n",
        "Content_Length: 48\r\n",
        // What is not chunked at the end, and what hides that it is.
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: \u{b}chunked\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        " Transfer-Encoding: chunked\r\n",
        "X: y\r\n Transfer-Encoding: chunked\r\n",
        "X: y\rTransfer-Encoding: chunked\r\n",
        "Transfer_Encoding: chunked\r\n",
        "X\0: y\r\nTransfer-Encoding: chunked\r\n",
        "Connection: Content-Length\r\nContent-Length: 0\r\n",
        "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n",
    ];
    for head in heads {
        let before = upstream.requests().len();
        let text = format!("POST /crm/x HTTP/1.1\r\nHost: localhost\r\n{head}\r\n0\r\n\r\n{SMUGGLED}{LAST}");
        let answers = rig.send(&text).await;
        // What follows is, if anything, a request of its own: for a path that leads nowhere.
        for seen in &upstream.requests()[before..] {
            assert!(seen.starts_with("POST /v2/x HTTP/1.1\r\n"), "{head:?}: {seen}");
            let framing = [header(seen, "content-length"), header(seen, "transfer-encoding")].concat();
            assert!(framing.len() <= 1, "{head:?}: {seen}");
            assert!(!seen.contains("admin"), "{head:?}: {seen}");
        }
        assert!([200, 400].contains(&status(&answers)), "{head:?}: {answers}");
    }
}

#[tokio::test]
async fn p1_no_other_transfer_coding_than_chunked_is_known() {
    let server = TestServer::start().await.expect("servers");
    let chunked = "2\r\nok\r\n0\r\n\r\n";
    let upstream = Upstream::start(OK).await;
    let rig = Rig::before(&server, &upstream).await;
    let cases = [
        ("chunked", 200),
        ("Chunked", 200),
        ("gzip, chunked", 501),
        ("gzip\r\nTransfer-Encoding: chunked", 501),
        ("identity, chunked", 501),
        (", chunked", 501),
    ];
    for (coding, expected) in cases {
        let line = format!("Transfer-Encoding: {coding}");
        let answer = rig.send(request("POST", "/crm/x", &[&line], chunked)).await;
        assert_eq!(status(&answer), expected, "{coding}: {answer}");
    }
    assert_eq!(upstream.requests().len(), 2, "a refused request went on");
    for (coding, expected) in cases {
        let answer = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n{chunked}");
        let upstream = Upstream::start(answer).await;
        let rig = Rig::before(&server, &upstream).await;
        let answer = rig.get("/crm/x", &[]).await;
        assert_eq!(upstream.requests().len(), 1);
        assert_eq!(status(&answer), if expected == 200 { 200 } else { 502 }, "{coding}: {answer}");
    }
}

#[tokio::test]
async fn p1_an_answer_with_two_lengths_has_the_one_by_which_it_was_read() {
    let server = TestServer::start().await.expect("servers");
    let lines = ["Content-Length: 48", "Transfer-Encoding: chunked"];
    for lines in [lines, [lines[1], lines[0]]] {
        let answer = format!("HTTP/1.1 200 OK\r\n{}\r\n\r\n2\r\nok\r\n0\r\n\r\n", lines.join("\r\n"));
        let upstream = Upstream::start(answer).await;
        let rig = Rig::before(&server, &upstream).await;
        let answer = rig.get("/crm/x", &[]).await;
        // Refusing it would do, too.
        if status(&answer) != 502 {
            assert!(header(&answer, "content-length").is_empty(), "{answer}");
            assert!(answer.ends_with("\r\n\r\n2\r\nok\r\n0\r\n\r\n"), "{answer}");
        }
    }
}

#[tokio::test]
async fn p1_requests_on_one_connection_are_judged_one_by_one() {
    let server = TestServer::start().await.expect("servers");
    let upstream = Upstream::start(OK).await;
    let rig = Rig::before(&server, &upstream).await;
    let good = "GET /crm/1 HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let bad = "GET /crm/2 HTTP/1.1\r\nHost: evil.example.com\r\n\r\n";
    let mut caller = rig.connect().await;
    caller.write_all(format!("{good}{bad}{good}").as_bytes()).await.expect("written");
    let mut answers = read_until(&mut caller, "Misdirected").await;
    if answers.matches("\r\n\r\nok").count() < 2 {
        answers += &read_until(&mut caller, "\r\n\r\nok").await;
    }
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
    assert!(upstream.requests().iter().all(|seen| seen.starts_with("GET /v2/1 ")));
}

#[tokio::test]
async fn p1_one_callers_answer_is_never_anothers() {
    let server = TestServer::start().await.expect("servers");
    // It sends more than it said: an answer that nobody has asked for.
    let upstream = Upstream::start(format!("{OK}HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")).await;
    let rig = Rig::before(&server, &upstream).await;
    for _ in 0..5 {
        let answer = rig.get("/crm/x", &[]).await;
        assert!(answer.ends_with("\r\n\r\nok") || status(&answer) == 502, "{answer}");
        assert!(!answer.contains("poison"), "{answer}");
    }
}

#[tokio::test]
async fn p1_http_1_0_is_answered_in_its_way_and_others_are_not() {
    let server = TestServer::start().await.expect("servers");
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let upstream = Upstream::start(chunked).await;
    let rig = Rig::before(&server, &upstream).await;
    let answer = rig.send("GET /crm/x HTTP/1.0\r\nHost: localhost\r\n\r\n").await;
    assert!(status(&answer) == 200 && answer.ends_with("\r\n\r\nok"), "{answer}");
    assert!(upstream.last().starts_with("GET /v2/x HTTP/1.1\r\n"), "{}", upstream.last());
    let others = [
        "GET /crm/x HTTP/1.0\r\n\r\n",
        "GET /crm/x HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /crm/x\r\n\r\n",
        "GET /crm/x HTTP/2.0\r\nHost: localhost\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /crm/x HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n",
    ];
    for other in others {
        let answer = rig.send(format!("{other}{LAST}")).await;
        assert!([0, 400].contains(&status(&answer)), "{other:?}: {answer}");
    }
    assert_eq!(upstream.requests().len(), 1);
    let long = format!("GET /crm/x HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(65_536));
    assert_eq!(status(&rig.send(long).await), 431);
    let many = (0..200).map(|index| format!("X-{index}: y\r\n")).collect::<String>();
    assert_eq!(status(&rig.send(format!("GET /crm/x HTTP/1.1\r\nHost: localhost\r\n{many}\r\n")).await), 431);
}
