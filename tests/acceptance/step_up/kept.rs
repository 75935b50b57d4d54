//! The hook is asked once for each demand, and the sixteen that were met last are kept.

use std::{
    sync::{Arc, Barrier},
    time::Duration,
};

use oauth_tokens::TokenCache;
use tests::{
    numbered::Numbered,
    script::{Answer, Script},
};
use tokio::time::advance;
use tower_oauth::{OAuthLayer, StepUp};

use super::{Hook, SCOPE, call, layer, numbered, retried, told};

/// As many demands are looked at in a minute as the storm guard lets an origin renew.
const A_MINUTE: usize = 20;
const MINUTE: Duration = Duration::from_secs(60);

fn scope(number: usize) -> String {
    format!("Bearer error=insufficient_scope, scope=s{number}")
}

async fn demand(layer: &OAuthLayer, challenge: &str) -> String {
    let api = Script::new([Answer::challenges(403, &[challenge])]);
    assert_eq!(told(&call(layer, &api).await), retried(200), "{challenge}");
    api.authorizations()[1].clone()
}

fn many(hook: &Hook) -> OAuthLayer {
    layer(&Numbered::new(), hook.bare().allow_scopes((0..70).map(|number| format!("s{number}"))))
}

#[tokio::test]
async fn r14_one_demand_in_many_words_is_one() {
    let (tokens, hook) = (Numbered::new(), Hook::default());
    let layer = layer(&tokens, hook.step_up());
    for challenge in [
        r#"Bearer error="insufficient_scope", scope="read write""#,
        r#"Bearer scope="write read", error=insufficient_scope, realm="x""#,
        r#"DPoP error="insufficient_scope", scope="write  read write""#,
        r#"Basic realm="x", Bearer error="insufficient_scope", scope="read write", resource_metadata="https://x.test""#,
    ] {
        assert_eq!(demand(&layer, challenge).await, "Bearer s1.1", "{challenge}");
    }
    // And these are others.
    for challenge in [SCOPE, r#"Bearer error="insufficient_scope", scope="read write", max_age=1"#] {
        assert_ne!(demand(&layer, challenge).await, "Bearer s1.1", "{challenge}");
    }
    assert_eq!(hook.calls(), 3);
}

/// A layer's clones, and the services that it makes, share what is kept.
#[tokio::test]
async fn r14_clones_share_what_is_kept() {
    let (tokens, hook) = (Numbered::new(), Hook::default());
    let layer = layer(&tokens, hook.step_up());
    for _ in 0..5 {
        assert_eq!(demand(&layer.clone(), SCOPE).await, "Bearer s1.1");
    }
    assert_eq!(hook.calls(), 1);
}

#[tokio::test]
async fn r14_sixteen_demands_are_kept() {
    let hook = Hook::default();
    let layer = many(&hook);
    for number in 0..16 {
        demand(&layer, &scope(number)).await;
    }
    for number in 0..16 {
        assert_eq!(demand(&layer, &scope(number)).await, format!("Bearer s{}.1", number + 1));
    }
    assert_eq!(hook.calls(), 16);
    // One more, and the one that was met first is forgotten.
    demand(&layer, &scope(16)).await;
    for number in 1..=16 {
        demand(&layer, &scope(number)).await;
    }
    assert_eq!(hook.calls(), 17);
    assert_eq!(demand(&layer, &scope(0)).await, "Bearer s18.1");
}

/// What is met again and again is not what is forgotten.
#[tokio::test(start_paused = true)]
async fn r14_what_was_met_last_is_kept() {
    let hook = Hook::default();
    let layer = many(&hook);
    for number in 0..40 {
        if number % A_MINUTE == 0 {
            advance(MINUTE).await;
        }
        demand(&layer, &scope(number)).await;
        assert_eq!(demand(&layer, &scope(0)).await, "Bearer s1.1", "{number}");
    }
    assert_eq!(hook.calls(), 40);
}

/// A hook that had none is asked again: it may have some next time.
#[tokio::test]
async fn r14_nothing_is_not_kept() {
    let hook = Hook::default();
    let inner = hook.clone();
    let step_up = StepUp::new(move |origin, demand| {
        let cache = inner.next(origin.as_str(), demand);
        (inner.calls() > 2).then_some(cache)
    });
    let layer = layer(&Numbered::new(), step_up.allow_scopes(["write"]));
    for expected in [403, 403, 200, 200] {
        let api = Script::new([Answer::challenges(403, &[SCOPE])]);
        assert_eq!(call(&layer, &api).await.status(), expected);
    }
    assert_eq!(hook.calls(), 3);
}

/// Two threads that come by a demand at the same moment end up with the same tokens.
#[test]
fn r14_two_at_once_share_their_tokens() {
    let both_inside = Arc::new(Barrier::new(2));
    let step_up = StepUp::new({
        let both_inside = Arc::clone(&both_inside);
        let caches = std::sync::atomic::AtomicU64::new(0);
        move |_, _| -> Option<TokenCache> {
            both_inside.wait();
            Some(numbered(&format!("c{}", caches.fetch_add(1, std::sync::atomic::Ordering::SeqCst))))
        }
    });
    let layer = layer(&Numbered::new(), step_up.allow_scopes(["write"]));
    let once = |layer: OAuthLayer| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(demand(&layer, SCOPE))
    };
    let tokens = std::thread::scope(|scope| {
        let threads = [(); 2].map(|()| scope.spawn(|| once(layer.clone())));
        threads.map(|thread| thread.join().expect("no panic"))
    });
    assert_eq!(tokens[0], tokens[1], "one cache, one token request");
    assert_eq!(once(layer.clone()), tokens[0]);
}

/// One user's stronger token is not another's: where tokens are selected for each request, there is no step-up.
#[tokio::test]
async fn r4_tokens_that_are_selected_are_not_stepped_up() {
    let (tokens, hook) = (Numbered::new(), Hook::default());
    let selected = tokens.cache.clone();
    let layer = OAuthLayer::selecting([tests::steps::API], move |_| Some(selected.clone()))
        .expect("origins")
        .step_up(hook.step_up());
    let api = Script::new([Answer::challenges(403, &[SCOPE])]);
    assert_eq!(call(&layer, &api).await.status(), 403);
    assert_eq!((hook.calls(), api.authorizations().len()), (0, 1));
}

/// An API that varies what it demands does not make the authorization server's load.
#[tokio::test(start_paused = true)]
async fn f7_so_many_demands_are_looked_at_in_a_minute() {
    let hook = Hook::default();
    let layer = many(&hook);
    let ask = async |number| {
        let api = Script::new([Answer::challenges(403, &[&scope(number)])]);
        call(&layer, &api).await.status().as_u16()
    };
    for number in 0..A_MINUTE {
        assert_eq!(ask(number).await, 200, "{number}");
    }
    assert_eq!(ask(A_MINUTE).await, 403);
    assert_eq!((ask(A_MINUTE - 1).await, hook.calls()), (200, A_MINUTE), "what is known is met all the same");
    advance(MINUTE - Duration::from_millis(1)).await;
    assert_eq!((ask(A_MINUTE).await, hook.calls()), (403, A_MINUTE));
    advance(Duration::from_millis(1)).await;
    assert_eq!((ask(A_MINUTE).await, hook.calls()), (200, A_MINUTE + 1));
}
