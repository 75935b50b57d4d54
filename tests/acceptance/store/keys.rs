//! S2: records are encrypted, and bound to what they are kept for.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::future::join_all;
use oauth_tokens::{ErrorKind, Record, Secret, StoreKeys};
use tests::support::{TempFolder, shown};
use tokio::{
    sync::{mpsc, oneshot},
    time::{advance, timeout},
};

use super::{content, key, ms, record, s};

/// A key in base64.
fn base64(byte: u8) -> String {
    BASE64_STANDARD.encode([byte; 32])
}

fn keys(byte: u8) -> StoreKeys {
    StoreKeys::new(base64(byte))
}

#[tokio::test]
async fn s2_a_sealed_record_opens_as_it_was() {
    let moments = [
        None,
        Some(UNIX_EPOCH),
        Some(UNIX_EPOCH + Duration::from_millis(1_764_000_000_123)),
        Some(UNIX_EPOCH + s(300_000_000_000)),
    ];
    for (version, expires_at) in [0, 1, 1_764_000_000_123, u64::MAX].into_iter().zip(moments) {
        for length in [0, 1, 16, 16_384] {
            let record = Record { version, expires_at, content: vec![7; length].into() };
            let sealed = keys(1).seal(&key("a"), &record).await.expect("sealed");
            let opened = keys(1).open(&key("a"), &sealed).await.expect("keys").expect("a record");
            assert_eq!((opened.version, opened.expires_at), (version, expires_at));
            assert_eq!(*opened.content, *record.content);
        }
    }
}

#[tokio::test]
async fn s2_what_is_sealed_tells_nothing_and_is_never_the_same_twice() {
    let record = record(1, "s3cr3t-t0k3n");
    let [one, two] = [keys(1).seal(&key("a"), &record).await, keys(1).seal(&key("a"), &record).await];
    let (one, two) = (one.expect("sealed"), two.expect("sealed"));
    assert_ne!(one, two);
    let tail = one.len() - 12;
    assert_ne!(one[tail..], two[tail..], "not only the nonce differs");
    assert!(!String::from_utf8_lossy(&one).contains("s3cr3t"));
}

#[tokio::test]
async fn s2_a_record_that_was_moved_cut_or_changed_is_garbage() {
    let sealed = keys(1).seal(&key("a"), &record(7, "content")).await.expect("sealed");
    let opened = async |bytes: &[u8]| keys(1).open(&key("a"), bytes).await.expect("keys").is_some();
    assert!(opened(&sealed).await);
    assert!(keys(1).open(&key("b"), &sealed).await.expect("keys").is_none(), "another's record");
    assert!(keys(2).open(&key("a"), &sealed).await.expect("keys").is_none(), "another's key");
    for at in 0..sealed.len() {
        for bit in [1, 0x80] {
            let mut changed = sealed.clone();
            changed[at] ^= bit;
            assert!(!opened(&changed).await, "byte {at}");
        }
        assert!(!opened(&sealed[..at]).await, "cut at {at}");
        assert!(!opened(&sealed[at + 1..]).await, "begun after {at}");
    }
    let with_more = [&sealed[..], &[0]].concat();
    assert!(!opened(&with_more).await);
    assert!(!opened(&vec![2; 2 * 1024 * 1024]).await);
    assert!(!opened(br#"{"access_token":"plain"}"#).await);
}

#[tokio::test]
async fn s2_keys_rotate_the_first_seals_and_all_open() {
    let (old, new) = (base64(1), base64(2));
    let by_old = StoreKeys::new(old.clone()).seal(&key("a"), &record(1, "old")).await.expect("sealed");
    let by_new = StoreKeys::new(new.clone()).seal(&key("a"), &record(2, "new")).await.expect("sealed");
    let both = [
        StoreKeys::new(format!("{new} {old}")),
        StoreKeys::new(format!(" {new},,{old}, ")),
        StoreKeys::new(new.clone()).and_open(old.clone()),
    ];
    for keys in both {
        for (sealed, expected) in [(&by_old, (1, "old".to_owned())), (&by_new, (2, "new".to_owned()))] {
            let opened = keys.open(&key("a"), sealed).await.expect("keys");
            assert_eq!(content(opened), Some(expected));
        }
        let sealed = keys.seal(&key("a"), &record(3, "next")).await.expect("sealed");
        let by = |keys: &str| StoreKeys::new(keys);
        assert!(by(&new).open(&key("a"), &sealed).await.expect("keys").is_some(), "sealed by the first");
        assert!(by(&old).open(&key("a"), &sealed).await.expect("keys").is_none());
    }
}

#[tokio::test]
async fn s2_a_key_file_is_read_again_when_it_changes() {
    let folder = TempFolder::new();
    let path = folder.write_of_old("keys", base64(1));
    let keys = StoreKeys::new(Secret::file(&path));
    let by_old = keys.seal(&key("a"), &record(1, "old")).await.expect("sealed");
    folder.write("keys", format!("{} {}\n", base64(2), base64(1)));
    assert!(keys.open(&key("a"), &by_old).await.expect("keys").is_some());
    let by_new = keys.seal(&key("a"), &record(2, "new")).await.expect("sealed");
    assert!(StoreKeys::new(base64(1)).open(&key("a"), &by_new).await.expect("keys").is_none());
    std::fs::remove_file(&path).expect("removed");
    let error = keys.open(&key("a"), &by_new).await.expect_err("no file");
    assert_eq!(error.kind(), ErrorKind::Credential);
}

#[tokio::test(start_paused = true)]
async fn s2_what_a_function_gives_is_read_again_after_a_minute() {
    let calls = std::sync::Arc::new(std::sync::atomic::AtomicU8::new(0));
    let keys = StoreKeys::new(Secret::from_fn({
        let calls = calls.clone();
        move || {
            let call = calls.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
            async move { Ok(base64(call)) }
        }
    }));
    let sealed = keys.seal(&key("a"), &record(1, "c")).await.expect("sealed");
    advance(s(59)).await;
    assert!(keys.open(&key("a"), &sealed).await.expect("keys").is_some());
    assert_eq!(calls.load(std::sync::atomic::Ordering::SeqCst), 1);
    advance(s(1)).await;
    assert!(keys.open(&key("a"), &sealed).await.expect("keys").is_none(), "another key by now");
    assert_eq!(calls.load(std::sync::atomic::Ordering::SeqCst), 2);
}

/// Of many who need the keys at once, one calls; the others share what comes of it. One who goes away leaves the call to
/// another, and one who stands still holds nobody up.
#[tokio::test(start_paused = true)]
async fn s2_many_at_once_call_a_function_once() {
    let (begin, mut calls) = mpsc::unbounded_channel();
    let keys = StoreKeys::new(Secret::from_fn(move || {
        let (answer, answered) = oneshot::channel();
        let _ = begin.send(answer);
        async move { Ok(answered.await.map_err(|_| "the vault is sealed")?) }
    }));
    let (id, record) = (key("a"), record(1, "c"));
    let all = || join_all((0..1000).map(|_| keys.seal(&id, &record)));

    let mut ended = Box::pin(all());
    assert!(timeout(s(0), &mut ended).await.is_err());
    drop(calls.try_recv().expect("a call"));
    assert!(ended.await.iter().all(|end| end.as_ref().is_err_and(|error| error.kind() == ErrorKind::Credential)));
    assert!(calls.try_recv().is_err(), "an error is shared");

    let mut first = Box::pin(keys.seal(&id, &record));
    assert!(timeout(s(0), &mut first).await.is_err());
    let given_up = calls.try_recv().expect("whoever comes after an error calls again");
    let mut ended = Box::pin(all());
    assert!(timeout(s(0), &mut ended).await.is_err() && calls.try_recv().is_err());
    drop((first, given_up));
    assert!(timeout(s(0), &mut ended).await.is_err());
    let answer = calls.try_recv().expect("the next one calls");
    answer.send(base64(1)).expect("wanted");
    assert!(ended.await.iter().all(Result::is_ok) && calls.try_recv().is_err());

    advance(s(60)).await;
    let mut still = Box::pin(keys.seal(&id, &record));
    assert!(timeout(s(0), &mut still).await.is_err());
    let _never = calls.try_recv().expect("a call");
    let mut ended = Box::pin(all());
    assert!(timeout(ms(999), &mut ended).await.is_err() && calls.try_recv().is_err());
    assert!(timeout(ms(1), &mut ended).await.is_err());
    calls.try_recv().expect("another one calls").send(base64(1)).expect("wanted");
    assert!(ended.await.iter().all(Result::is_ok) && calls.try_recv().is_err());
}

#[tokio::test]
async fn s2_what_is_no_key_is_refused_without_being_shown() {
    let cases = [
        "Q7s3cr3t".to_owned(),
        "Q7s3cr3t!Q7s3cr3t".to_owned(),
        BASE64_STANDARD.encode([7; 31]),
        BASE64_STANDARD.encode([7; 33]),
        format!("{} Q7s3cr3t", base64(1)),
        " , ".to_owned(),
        String::new(),
    ];
    for text in cases {
        let keys = StoreKeys::new(text.clone());
        let known = keys.validate().expect_err("no key");
        assert_eq!(known.kind(), ErrorKind::Config, "{text}");
        let read = StoreKeys::new(Secret::from_fn({
            let text = text.clone();
            move || {
                let text = text.clone();
                async move { Ok(text) }
            }
        }));
        assert!(read.validate().is_ok());
        let error = read.seal(&key("a"), &record(1, "c")).await.expect_err("no key");
        assert_eq!(error.kind(), ErrorKind::Credential, "{text}");
        for shown in [shown(&known), shown(&error), format!("{keys:?} {read:?}")] {
            assert!(!shown.contains("Q7s3cr3t"), "{shown}");
            assert!(text.trim_matches([' ', ',']).is_empty() || !shown.contains(text.trim()), "{shown}");
        }
    }
    let unpadded = base64(255).trim_end_matches('=').replace('/', "_");
    assert!(StoreKeys::new(unpadded).validate().is_ok(), "either alphabet, with or without padding");
}

#[tokio::test]
async fn s1_a_record_and_its_keys_show_nothing() {
    let shown = format!("{:?} {:?} {:?}", record(1, "s3cr3t"), keys(1), SystemTime::now());
    assert!(!shown.contains("s3cr3t") && !shown.contains(&base64(1)), "{shown}");
}
