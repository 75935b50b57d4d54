//! What a [`TokenPool`] costs: memory for each key, time for each look-up and each eviction.

use std::{
    collections::HashMap,
    fmt::Write as _,
    hint::black_box,
    sync::RwLock,
    time::{Duration, Instant},
};

use allocation_counter::measure;
use oauth_tokens::{AccessToken, Error, TokenPool, TokenSet, TokenSource};
use tokio::runtime::{Builder, Runtime};

use crate::{BoxError, report::Section};

/// The most bytes that a key may cost beyond key and token.
const MOST_BYTES_A_KEY: f64 = 160.0;
const KEYS: usize = 100_000;
const LIFETIME: Duration = Duration::from_secs(3600);
const ROUNDS: usize = 5;

/// Where a tenant's token comes from: made anew for each fetch, as a token request is.
struct FromMemory(String);

impl TokenSource for FromMemory {
    async fn fetch(&self) -> Result<TokenSet, Error> {
        Ok(TokenSet::new(token(&self.0)?).expiring_in(LIFETIME))
    }

    fn holds_state(&self) -> bool {
        false
    }
}

fn tenant(number: usize) -> String {
    format!("tenant-{number:06}")
}

fn token(tenant: &str) -> Result<AccessToken, Error> {
    AccessToken::bearer(&format!("token-of-{tenant}"))
}

fn runtime() -> Result<Runtime, Error> {
    Builder::new_current_thread().enable_time().build().map_err(|error| Error::source_failed(error.to_string()))
}

/// A pool that holds a token for each of so many tenants.
fn filled_pool(runtime: &Runtime, keys: usize) -> Result<TokenPool<String>, Error> {
    let pool = TokenPool::new(|tenant: &String| Ok(FromMemory(tenant.clone()))).capacity(keys);
    runtime.block_on(async {
        for number in 0..keys {
            pool.token(&tenant(number)).await?;
        }
        Ok(pool)
    })
}

fn plain_list(keys: usize) -> Result<Vec<(String, AccessToken)>, Error> {
    let mut list = Vec::with_capacity(keys);
    for number in 0..keys {
        let tenant = tenant(number);
        let token = token(&tenant)?;
        list.push((tenant, token));
    }
    Ok(list)
}

/// Bytes for each key, beyond the key and the token.
fn overhead(keys: usize) -> Result<f64, Error> {
    let runtime = runtime()?;
    // What the first key of a process allocates for all.
    drop(filled_pool(&runtime, 1)?);
    let (mut pool, mut list) = (None, None);
    let of_pool = measure(|| pool = Some(filled_pool(&runtime, keys)));
    let of_list = measure(|| list = Some(plain_list(keys)));
    let (pool, _) = (pool.transpose()?, list.transpose()?);
    let usable = pool.map(|pool| pool.status().usable);
    if usable != Some(keys) {
        return Err(Error::source_failed(format!("{usable:?} of {keys} keys have a token")));
    }
    Ok((of_pool.bytes_current - of_list.bytes_current) as f64 / keys as f64)
}

/// The best of some rounds, for each of the keys.
fn best(keys: usize, mut round: impl FnMut()) -> Duration {
    let rounds = (0..ROUNDS).map(|_| {
        let began = Instant::now();
        round();
        began.elapsed()
    });
    rounds.min().unwrap_or_default() / u32::try_from(keys).unwrap_or(u32::MAX)
}

fn shuffled(keys: usize) -> Vec<String> {
    let mut numbers: Vec<usize> = (0..keys).collect();
    fastrand::seed(1);
    fastrand::shuffle(&mut numbers);
    numbers.into_iter().map(tenant).collect()
}

/// Measures: memory at several sizes, times at one.
///
/// # Errors
///
/// When there is no runtime to be had, or a key costs too much.
pub(crate) fn section() -> Result<Section, BoxError> {
    let mut text = format!(
        "A `TokenPool` of {KEYS} keys, each with a token of its own. Bytes are those that were asked of the allocator and not given\n\
         back, less those of the same keys and tokens in a `Vec`; at most {MOST_BYTES_A_KEY} at {KEYS} keys. Times are of one\n\
         thread, over all keys in random order: the best of {ROUNDS} rounds.\n\n\
         | keys | bytes for each, beyond key and token |\n|---|---|\n"
    );
    // The last is where tables of a power of two have just doubled.
    for keys in [1_000, 10_000, KEYS, 120_000] {
        let bytes = overhead(keys)?;
        let _ = writeln!(text, "| {keys} | {bytes:.0} |");
        if keys == KEYS && bytes > MOST_BYTES_A_KEY {
            return Err(format!("a key costs {bytes:.0} bytes, more than {MOST_BYTES_A_KEY}").into());
        }
    }
    times(&mut text)?;
    Ok(Section { title: "A pool of tokens".to_owned(), text, charts: Vec::new() })
}

fn times(text: &mut String) -> Result<(), BoxError> {
    let runtime = runtime()?;
    let tenants = shuffled(KEYS);
    let pool = filled_pool(&runtime, KEYS)?;
    let map = RwLock::new(plain_list(KEYS)?.into_iter().collect::<HashMap<_, _>>());
    let of_map = best(KEYS, || {
        for tenant in &tenants {
            black_box(map.read().ok().and_then(|map| map.get(tenant).cloned()));
        }
    });
    let of_pool = best(KEYS, || {
        for tenant in &tenants {
            black_box(pool.get(tenant).ok().and_then(|cache| cache.cached()));
        }
    });
    let held = pool.get(&tenants[0])?;
    let of_cache = best(KEYS, || {
        for _ in 0..KEYS {
            black_box(held.cached());
        }
    });
    drop(held);
    let mut next = KEYS;
    let mut first_time = |pool: &TokenPool<String>| {
        best(KEYS, || {
            for number in next..next + KEYS {
                black_box(pool.get(&tenant(number)).is_ok());
            }
            next += KEYS;
        })
    };
    let with_eviction = first_time(&pool);
    let with_room = first_time(&TokenPool::new(|tenant: &String| Ok(FromMemory(tenant.clone()))).capacity(usize::MAX));
    let _ = writeln!(text, "\n| at {KEYS} keys | ns | to the map's |\n|---|---|---|");
    for (what, time) in [
        ("token of a key, `RwLock<HashMap>`", of_map),
        ("token of a key, `TokenPool`", of_pool),
        ("token of a cache that is held", of_cache),
        ("new key, with room", with_room),
        ("new key, another evicted", with_eviction),
    ] {
        let _ = writeln!(text, "| {what} | {} | {:.2} |", time.as_nanos(), time.as_secs_f64() / of_map.as_secs_f64());
    }
    let status = pool.status();
    let _ = writeln!(text, "\n{} were evicted, {} refused.", status.evicted, status.refused);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figure of the guide: at most 160 bytes at 100,000 keys.
    #[test]
    fn a_key_costs_at_most_160_bytes_beyond_key_and_token() {
        let bytes = overhead(KEYS).expect("a full pool");
        assert!(bytes <= MOST_BYTES_A_KEY, "{bytes:.1} bytes a key");
        // The measure itself can fail: a pool that holds nothing would cost less than its list.
        assert!(bytes > 8.0, "{bytes:.1} bytes a key");
    }
}
