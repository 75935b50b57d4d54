//! Who may come in.

use std::time::Duration;

use oauth_tokens::ErrorKind;
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{Instant, timeout},
};

use super::{Answer, native, read, server, waiting, waiting_for};

#[tokio::test]
async fn l3_only_its_own_name_is_answered() {
    let waiting = waiting().await;
    assert!(waiting.host().starts_with("127.0.0.1:"), "a literal address: {}", waiting.url);
    let (host, port) = (waiting.host().to_owned(), waiting.host().split(':').nth(1).expect("a port").to_owned());
    let back = waiting.signed_in_as("mallory").await;
    // The user's own browser is what other pages have.
    let cookie = waiting.browser.header();
    let requests = [
        format!("GET {back} HTTP/1.1\r\nHost: evil.example\r\n{cookie}\r\n"),
        format!("GET {back} HTTP/1.1\r\nHost: evil.example:{port}\r\n{cookie}\r\n"),
        format!("GET {back} HTTP/1.1\r\nHost: localhost:{port}\r\n{cookie}\r\n"),
        format!("GET {back} HTTP/1.1\r\nHost: 127.0.0.1\r\n{cookie}\r\n"),
        format!("GET {back} HTTP/1.1\r\nHost: {host}.\r\n{cookie}\r\n"),
        format!("GET {back} HTTP/1.1\r\nHost: {host}:80\r\n{cookie}\r\n"),
        format!("GET {back} HTTP/1.1\r\nHost: user@{host}\r\n{cookie}\r\n"),
        format!("GET {back} HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n{cookie}\r\n"),
        format!("GET {back} HTTP/1.1\r\nHost: {host}\r\nHost: evil.example\r\n{cookie}\r\n"),
        format!("GET {back} HTTP/1.1\r\nHost:\r\n{cookie}\r\n"),
        format!("GET {back} HTTP/1.1\r\n{cookie}\r\n"),
        format!("GET {back} HTTP/1.0\r\nHost: {host}\r\n{cookie}\r\n"),
        format!("GET {back} HTTP/1.0\r\n{cookie}\r\n"),
        format!("GET http://evil.example{back} HTTP/1.1\r\nHost: {host}\r\n{cookie}\r\n"),
        format!("GET http://{host}{back} HTTP/1.1\r\nHost: {host}\r\n{cookie}\r\n"),
        format!("GET {} HTTP/1.1\r\nHost: evil.example:{port}\r\n{cookie}\r\n", waiting.start()),
    ];
    for request in requests {
        let answer = waiting.send(&request).await;
        assert!(matches!(answer.status, 400 | 421), "{request}{answer:?}");
        assert!(answer.body.is_empty() && answer.header("location").is_none(), "{request}{answer:?}");
    }
    waiting.goes_on_undisturbed().await;
}

#[tokio::test]
async fn l3_other_pages_neither_fetch_nor_embed_it() {
    let waiting = waiting().await;
    let back = waiting.signed_in_as("mallory").await;
    let cookie = waiting.browser.header();
    for headers in [
        "Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty",
        "Sec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image",
        "Sec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: script",
        "Sec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe",
        "Sec-Fetch-Mode: websocket",
    ] {
        for path in [&back, waiting.start(), "/done"] {
            let answer = waiting.get_with(path, &format!("{headers}\r\n{cookie}")).await;
            assert_eq!((answer.status, answer.header("location")), (403, None), "{headers} {path} {answer:?}");
        }
    }
    waiting.goes_on_undisturbed().await;
}

#[tokio::test]
async fn l3_only_what_a_browser_asks_for_is_there() {
    let waiting = waiting().await;
    let back = waiting.signed_in_as("mallory").await;
    let query = back.strip_prefix("/callback").expect("the callback").to_owned();
    let start = waiting.start().to_owned();
    let cases = [
        ("GET", "/".to_owned(), 404),
        ("GET", "/favicon.ico".to_owned(), 404),
        ("GET", "/done".to_owned(), 404),
        ("GET", "/start".to_owned(), 404),
        ("GET", "/start/".to_owned(), 404),
        ("GET", format!("{}x", &start[..start.len() - 1]), 404),
        ("GET", format!("{start}/"), 404),
        ("POST", start, 404),
        ("GET", format!("/callback/{query}"), 404),
        ("GET", format!("/Callback{query}"), 404),
        ("GET", format!("//callback{query}"), 404),
        ("GET", format!("/%63allback{query}"), 404),
        ("GET", format!("/x/../callback{query}"), 404),
        ("HEAD", back.clone(), 405),
        ("POST", back.clone(), 405),
        ("PUT", back.clone(), 405),
        ("DELETE", back.clone(), 405),
        ("OPTIONS", back.clone(), 405),
        ("TRACE", back, 405),
    ];
    let cookie = waiting.browser.header();
    for (method, path, expected) in cases {
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n{cookie}\r\n", waiting.host());
        let answer = waiting.send(&request).await;
        assert_eq!(answer.status, expected, "{method} {path} {answer:?}");
        assert!(answer.header("access-control-allow-origin").is_none(), "{answer:?}");
    }
    waiting.goes_on_undisturbed().await;
}

#[tokio::test]
async fn l3_a_wrong_callback_does_not_end_the_wait() {
    let waiting = waiting().await;
    let state = waiting.state().await;
    let long = "x".repeat(20_000);
    let queries = [
        String::new(),
        "?".to_owned(),
        "?code=stolen".to_owned(),
        "?code=stolen&state=".to_owned(),
        "?code=stolen&state=guessed".to_owned(),
        format!("?code=stolen&state={state}x"),
        format!("?code=stolen&state={}", &state[..state.len() - 1]),
        format!("?code=stolen&state={}", state.to_ascii_uppercase()),
        format!("?code=stolen&state={state}&state={state}"),
        format!("?code=one&code=two&state={state}"),
        format!("?code=stolen&error=access_denied&state={state}"),
        format!("?access_token=stolen&state={state}"),
        format!("?code=%ff&state={state}"),
        format!("?code=%zz&state={state}"),
        format!("?code={long}&state={state}"),
        "?error=access_denied".to_owned(),
        "?error=access_denied&state=guessed".to_owned(),
    ];
    for query in queries {
        let answer = waiting.get(&format!("/callback{query}")).await;
        assert_eq!(answer.status, 400, "{query} {answer:?}");
        assert!(answer.body.contains("This is not your sign-in"), "{query} {answer:?}");
        assert!(!answer.body.contains("stolen") && !answer.body.contains(&state), "{query} {answer:?}");
    }
    waiting.goes_on_undisturbed().await;
}

#[tokio::test]
async fn l3_a_wrong_form_does_not_end_the_wait() {
    let server = server();
    let sign_in = native(&server).form_post();
    let waiting = waiting_for(server, sign_in).await;
    let state = waiting.state().await;
    let long = "x".repeat(20_000);
    let form = "application/x-www-form-urlencoded";
    let posts = [
        (form, "code=stolen&state=guessed".to_owned()),
        (form, format!("code=one&code=two&state={state}")),
        (form, format!("code={long}&state={state}")),
        ("text/plain", format!("code=stolen&state={state}")),
        ("application/json", format!(r#"{{"state":"{state}"}}"#)),
    ];
    for (content_type, body) in posts {
        let answer = waiting.post("/callback", content_type, &body).await;
        assert_eq!(answer.status, 400, "{content_type} {body} {answer:?}");
    }
    waiting.goes_on_undisturbed().await;
}

#[tokio::test]
async fn l3_a_second_callback_changes_nothing() {
    let mut waiting = waiting().await;
    let back = waiting.signed_in_as("ann").await;
    let other = waiting.signed_in_as("mallory").await;
    assert_eq!(waiting.get(&back).await.status, 303);
    for path in [&back, &other, waiting.start()] {
        let answer = waiting.get(path).await;
        assert_eq!((answer.status, answer.header("location")), (410, None), "{answer:?}");
        assert!(answer.body.contains("This sign-in is over"), "{answer:?}");
    }
    assert_eq!(waiting.get("/done").await.status, 200);
    let signed_in = waiting.end().await.expect("signed in");
    assert_eq!(signed_in.id_token.expect("an ID token").subject(), "ann");
    assert_eq!(waiting.server.counters().token_requests, 1);
}

#[tokio::test]
async fn l3_slow_huge_and_many_requests_are_bounded() {
    let server = server();
    let sign_in = native(&server).form_post();
    let waiting = waiting_for(server, sign_in).await;
    let began = Instant::now();
    // More than are served at once, none of which ever says what it wants.
    let mut idle = Vec::new();
    for number in 0..24 {
        let mut stream = TcpStream::connect(waiting.host()).await.expect("a connection");
        if number % 2 == 0 {
            stream.write_all(b"GET /callback?code=").await.expect("half a request");
        }
        idle.push(stream);
    }
    // The user is behind them in the queue, and gets through.
    let back = waiting.signed_in_as("ann").await;
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    for stream in &mut idle[..16] {
        let answer = read(stream).await;
        assert!(matches!(answer.status, 0 | 408), "{answer:?}");
    }
    drop(idle);

    let huge = format!("GET /callback HTTP/1.1\r\nHost: {}\r\nX: {}\r\n\r\n", waiting.host(), "x".repeat(1 << 20));
    let many = format!("GET /callback HTTP/1.1\r\nHost: {}\r\n{}\r\n", waiting.host(), "X: y\r\n".repeat(5_000));
    let body = format!(
        "POST /callback HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n",
        waiting.host(),
        1_u64 << 40
    );
    for request in [huge, many, body] {
        let answer = waiting.send(&request).await;
        assert!(matches!(answer.status, 0 | 400 | 414 | 431), "{answer:?}");
    }
    waiting.ends_well(&back, "ann").await;
}

#[tokio::test]
async fn l3_who_no_longer_waits_no_longer_listens() {
    let dropped = waiting().await;
    dropped.run.abort();
    timeout(Duration::from_secs(10), async {
        while !dropped.run.is_finished() {
            tokio::task::yield_now().await
        }
    })
    .await
    .expect("it ends");
    TcpStream::connect(dropped.host()).await.expect_err("nobody listens");

    let server = server();
    let sign_in = native(&server).timeout(Duration::from_millis(200));
    let mut late = waiting_for(server, sign_in).await;
    let error = late.end().await.expect_err("nobody came");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(error.to_string().contains("nobody came back"), "{error}");
    TcpStream::connect(late.host()).await.expect_err("nobody listens");

    let mut done = waiting().await;
    let back = done.signed_in_as("ann").await;
    assert_eq!(done.get(&back).await.status, 303);
    let Answer { status, .. } = done.get("/done").await;
    assert_eq!(status, 200);
    done.end().await.expect("signed in");
    TcpStream::connect(done.host()).await.expect_err("nobody listens");
}
