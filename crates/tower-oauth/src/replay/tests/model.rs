//! R10 against a model: whatever is polled, kept, restored and dropped, in whatever order.

use std::collections::VecDeque;

use bytes::Bytes;
use http_body::Body;
use proptest::prelude::*;

use super::script::{Heard, Knows, Script, Step, poll};
use crate::replay::{KeptReplay, NotReplayable, Replay, ReplayBody};

#[derive(Clone, Copy, Debug)]
enum Act {
    Poll,
    PollOld(usize),
    Keep,
    Restore(usize),
    DropKept(usize),
    DropOld(usize),
    DropCurrent,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        8 => Just(Act::Poll),
        2 => (0..4_usize).prop_map(Act::PollOld),
        2 => Just(Act::Keep),
        3 => (0..4_usize).prop_map(Act::Restore),
        1 => (0..4_usize).prop_map(Act::DropKept),
        1 => (0..4_usize).prop_map(Act::DropOld),
        1 => Just(Act::DropCurrent),
    ];
    prop::collection::vec(act, 0..60)
}

fn scripts() -> impl Strategy<Value = Script> {
    let piece = prop_oneof![3 => (0..7_usize).prop_map(Some), 1 => Just(None)];
    let length = prop_oneof![Just(Knows::Nothing), Just(Knows::AtLeast), Just(Knows::Exactly)];
    (prop::collection::vec(piece, 0..8), 0..4_u8, length, any::<bool>()).prop_map(|(pieces, end, length, knows_end)| {
        let mut script = Script::new();
        (script.length, script.knows_end) = (length, knows_end);
        for (number, piece) in (0_u8..).zip(pieces) {
            // Each frame is unlike any other, so that a wrong one cannot pass for the right one.
            script = match piece {
                Some(len) => script.bytes(Bytes::from(vec![number; len])),
                None => script.pending(),
            };
        }
        match end {
            0 => script.trailers("sum", "1"),
            1 => script.fails(),
            2 => script.pending(),
            _ => script,
        }
        .trimmed()
    })
}

/// What should happen, told without cells or tapes: positions in one sequence of frames.
struct Model {
    steps: VecDeque<Step>,
    knows_end: bool,
    exact: bool,
    max_bytes: usize,
    /// All that the inner body has yielded.
    yielded: Vec<Heard>,
    polls: usize,
    over: Option<Heard>,
    /// Where the current handle reads.
    at: usize,
    /// The record that is being kept, if any: its number, start, promised length, and whether it is too long.
    record: Option<(usize, usize, Option<usize>, bool)>,
    records: usize,
}

#[derive(Clone, Copy, Debug)]
struct KeptModel {
    record: usize,
    from: usize,
    polls: usize,
    lost: Option<NotReplayable>,
}

fn len(frames: &[Heard]) -> usize {
    frames.iter().map(|frame| if let Heard::Data(data) = frame { data.len() } else { 0 }).sum()
}

impl Model {
    fn left(&self) -> usize {
        self.steps.iter().map(|step| if let Step::Data(data) = step { data.len() } else { 0 }).sum()
    }

    /// Behind an error there is an end, too, but no claim of one.
    fn ended(&self) -> bool {
        self.over == Some(Heard::End) || (self.knows_end && self.steps.is_empty() && self.over.is_none())
    }

    fn keep(&mut self, others: bool, lower_bound: usize) -> Option<KeptModel> {
        if self.over == Some(Heard::Error) {
            return None;
        }
        if !others || self.record.is_none() {
            self.records += 1;
            let to_come = len(&self.yielded[self.at..]) + self.left();
            let known = len(&self.yielded[self.at..]);
            let too_large = known.max(lower_bound) > self.max_bytes;
            self.record = Some((self.records, self.at, self.exact.then_some(to_come), too_large));
        }
        let record = self.record.map_or(0, |record| record.0);
        Some(KeptModel { record, from: self.at, polls: self.polls, lost: None })
    }

    fn restorable(&self, kept: &KeptModel) -> Result<(), NotReplayable> {
        if let Some(reason) = kept.lost {
            return Err(reason);
        }
        let (_, start, promised, _) = self.record.expect("a kept body that is not lost has a record");
        let trailers = self.yielded[start..].iter().any(|frame| matches!(frame, Heard::Trailers(_)));
        let promise_kept = promised.is_some_and(|promised| len(&self.yielded[start..]) >= promised);
        if self.polls == kept.polls || self.ended() || trailers || promise_kept {
            Ok(())
        } else {
            Err(NotReplayable::Unfinished)
        }
    }

    /// What the current handle should hear, and what becomes of the record.
    fn poll(&mut self, kept: &mut [KeptModel]) -> Heard {
        if let Some(frame) = self.yielded.get(self.at) {
            let frame = frame.clone();
            self.at += 1;
            self.settle(kept);
            return frame;
        }
        if self.over.is_some() || self.ended() {
            self.settle(kept);
            return Heard::End;
        }
        self.polls += 1;
        let heard = self.steps.pop_front().as_ref().map_or(Heard::End, Heard::from);
        match &heard {
            Heard::Data(_) | Heard::Trailers(_) => {
                self.yielded.push(heard.clone());
                self.at += 1;
                if let Some((_, start, _, too_large)) = &mut self.record {
                    *too_large |= len(&self.yielded[*start..]) > self.max_bytes;
                }
            }
            Heard::Error | Heard::End => self.over = Some(heard.clone()),
            _ => {}
        }
        self.settle(kept);
        heard
    }

    fn settle(&mut self, kept: &mut [KeptModel]) {
        let Some((record, _, _, too_large)) = self.record else { return };
        let reason = match self.over {
            _ if too_large => NotReplayable::TooLarge,
            Some(Heard::Error) => NotReplayable::Failed,
            _ => return,
        };
        self.record = None;
        kept.iter_mut().filter(|kept| kept.record == record).for_each(|kept| kept.lost = Some(reason));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn r10_replay_does_what_the_model_does(script in scripts(), max_bytes in 0..24_usize, acts in acts()) {
        let mut model = Model {
            steps: script.steps.clone(),
            knows_end: script.knows_end,
            exact: matches!(script.length, Knows::Exactly),
            max_bytes,
            yielded: Vec::new(),
            polls: 0,
            over: None,
            at: 0,
            record: None,
            records: 0,
        };
        let mut current = Some(Replay::new(script).max_bytes(max_bytes));
        let mut old: Vec<Replay<Script>> = Vec::new();
        let mut kept: Vec<KeptReplay<Script>> = Vec::new();
        let mut hints = Vec::new();
        let mut kept_model: Vec<KeptModel> = Vec::new();

        for act in acts {
            let live = |model: &Model, kept: &[KeptModel]| {
                model.record.is_some_and(|record| kept.iter().any(|kept| kept.record == record.0))
            };
            if !live(&model, &kept_model) {
                model.record = None;
            }
            match act {
                Act::Poll => if let Some(body) = &mut current {
                    let ended = body.is_end_stream();
                    let heard = poll(body);
                    prop_assert_eq!(&heard, &model.poll(&mut kept_model));
                    prop_assert!(!ended || heard == Heard::End);
                    prop_assert_eq!(body.is_end_stream(), model.at == model.yielded.len() && model.ended());
                },
                Act::PollOld(which) => if let Some(body) = old.get_mut(which) {
                    prop_assert!(!body.is_end_stream());
                    prop_assert_eq!(poll(body), Heard::Superseded);
                    prop_assert!(body.keep().is_none());
                },
                Act::Keep => if let Some(body) = &mut current {
                    let hint = body.size_hint();
                    let others = live(&model, &kept_model);
                    let lower = usize::try_from(hint.lower()).unwrap_or(usize::MAX);
                    let expected = model.keep(others, lower);
                    let actual = body.keep();
                    prop_assert_eq!(actual.is_some(), expected.is_some());
                    kept.extend(actual);
                    hints.extend(expected.map(|_| hint));
                    kept_model.extend(expected);
                },
                Act::Restore(which) => if which < kept.len() {
                    let (kept, expected, hint) = (kept.remove(which), kept_model.remove(which), hints.remove(which));
                    let restored = Replay::restore(kept);
                    prop_assert_eq!(restored.as_ref().err().copied(), model.restorable(&expected).err());
                    if let Ok(body) = restored {
                        model.at = expected.from;
                        // A body that says by itself that nothing is to come has the length of nothing.
                        if model.at < model.yielded.len() || !model.ended() || model.polls != expected.polls {
                            prop_assert_eq!((body.size_hint().lower(), body.size_hint().upper()), (hint.lower(), hint.upper()));
                        }
                        old.extend(current.replace(body));
                    }
                },
                Act::DropKept(which) => if which < kept.len() {
                    drop((kept.remove(which), kept_model.remove(which), hints.remove(which)));
                },
                Act::DropOld(which) => if which < old.len() {
                    drop(old.remove(which));
                },
                Act::DropCurrent => drop(current.take()),
            }
        }
    }
}
