//! Walks every sequence of steps up to a length, as an odometer counts: the last step changes first.

/// Something that takes steps, made anew for each sequence.
pub(super) trait Walk {
    type Step: Copy;

    /// Whether the step would change anything now. One that would not is left out: the sequence without it is walked, too.
    fn can(&self, step: Self::Step) -> bool;
    fn take(&mut self, step: Self::Step);
    /// The end of the sequence.
    fn end(self);
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// Sequences that were walked.
    pub(super) walked: u64,
    /// Sequences that hold a step which would have changed nothing where it stands.
    pub(super) idle: u64,
}

/// The steps that can be taken at one place of the sequence, and the one that is taken this time.
struct Choice<S> {
    steps: Vec<S>,
    taken: usize,
}

pub(super) fn explore<W: Walk>(steps: &[W::Step], length: u32, start: impl Fn() -> W) -> Count {
    let mut count = Count::default();
    let mut path: Vec<Choice<W::Step>> = Vec::new();
    loop {
        let mut walk = start();
        for at in 0..length {
            if path.len() == at as usize {
                let possible: Vec<_> = steps.iter().copied().filter(|step| walk.can(*step)).collect();
                assert!(!possible.is_empty(), "a dead end");
                count.idle += ((steps.len() - possible.len()) * steps.len().pow(length - at - 1)) as u64;
                path.push(Choice { steps: possible, taken: 0 });
            }
            let choice = &path[at as usize];
            walk.take(choice.steps[choice.taken]);
        }
        walk.end();
        count.walked += 1;
        while path.last().is_some_and(|choice| choice.taken + 1 == choice.steps.len()) {
            path.pop();
        }
        let Some(choice) = path.last_mut() else { return count };
        choice.taken += 1;
    }
}

/// The odometer itself: it leaves nothing out, and goes nowhere twice.
#[test]
fn every_sequence_is_walked_once() {
    use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

    /// Takes `a` at any time, and `b` only after an `a`.
    struct Letters(String, Rc<RefCell<BTreeSet<String>>>);

    impl Walk for Letters {
        type Step = char;
        fn can(&self, step: char) -> bool {
            step == 'a' || self.0.ends_with('a')
        }
        fn take(&mut self, step: char) {
            self.0.push(step);
        }
        fn end(self) {
            assert!(self.1.borrow_mut().insert(self.0), "walked twice");
        }
    }

    let walked = Rc::new(RefCell::default());
    let count = explore(&['a', 'b'], 3, || Letters(String::new(), Rc::clone(&walked)));
    assert_eq!(Vec::from_iter(walked.take()), ["aaa", "aab", "aba"]);
    assert_eq!(count, Count { walked: 3, idle: 5 });
}
