use std::collections::HashMap;
use std::time::Duration;

/// The identifiers that were used, each until its JWT is no longer good anyway.
#[derive(Debug, Default)]
pub(crate) struct Replays {
    used: HashMap<String, Duration>,
    /// At this size it is worth looking for those that are over.
    sweep_at: usize,
}

impl Replays {
    /// Whether this is the first use. `until` and `now` are on the same clock.
    pub(crate) fn first_use(&mut self, id: String, now: Duration, until: Duration) -> bool {
        if self.used.len() >= self.sweep_at {
            self.used.retain(|_, until| *until > now);
            self.sweep_at = (self.used.len() * 2).max(64);
        }
        let fresh = self.used.get(&id).is_none_or(|until| *until <= now);
        if fresh {
            self.used.insert(id, until);
        }
        fresh
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_good_once_until_its_time_is_over() {
        let at = Duration::from_secs;
        let mut replays = Replays::default();
        assert!(replays.first_use("a".to_owned(), at(0), at(10)));
        assert!(!replays.first_use("a".to_owned(), at(9), at(19)));
        assert!(replays.first_use("b".to_owned(), at(9), at(19)));
        assert!(replays.first_use("a".to_owned(), at(10), at(20)));
    }

    #[test]
    fn what_is_over_is_swept() {
        let mut replays = Replays::default();
        for second in 0..10_000 {
            let now = Duration::from_secs(second);
            assert!(replays.first_use(second.to_string(), now, now + Duration::from_secs(10)));
        }
        assert!(replays.used.len() < 200, "{}", replays.used.len());
    }
}
