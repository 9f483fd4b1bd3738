//! A whole state, told to a store that holds less: as the run of batches that would have led to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::{Batch, Change, Snapshot, T};

/// The state as batches, oldest first: every row at the T of its last change, the last batch at the state's own T, and
/// all names in the first. So rows that a store has already are the same versions, and what it lacks is newer.
///
/// What passed and stands no more is not in a state: earlier versions, withdrawn rows (but for alerts), and ticks and
/// notices that it no longer keeps.
pub(crate) fn batches(state: &Snapshot) -> Vec<Arc<Batch>> {
    let mut moments: BTreeMap<T, Batch> = BTreeMap::new();
    moments.insert(state.t, Batch { t: state.t, ..Batch::default() });
    let mut at = |t: T, put: &mut dyn FnMut(&mut Batch)| {
        let t = t.min(state.t);
        put(moments.entry(t).or_insert_with(|| Batch { t, ..Batch::default() }));
    };
    // The newest bar of a series outlives its retention, and is its price.
    let silent = state.latest.values().filter(|(_, row)| !state.bars.contains_key(&row.key));
    for (t, row) in state.bars.values().chain(silent) {
        at(*t, &mut |batch| batch.bars.push(Change::Put(*row)));
    }
    for (t, row) in state.kpis.values() {
        at(*t, &mut |batch| batch.kpis.push(Change::Put(*row)));
    }
    for (t, row) in state.correlations.values() {
        at(*t, &mut |batch| batch.correlations.push(Change::Put(*row)));
    }
    for (t, row) in state.bids.values() {
        at(*t, &mut |batch| batch.bids.push(Change::Put(row.clone())));
    }
    for (t, row) in state.clearing.values() {
        at(*t, &mut |batch| batch.clearing.push(Change::Put(row.clone())));
    }
    for (t, row) in state.awards.values() {
        at(*t, &mut |batch| batch.awards.push(Change::Put(row.clone())));
    }
    for (t, row) in state.settlement.values() {
        at(*t, &mut |batch| batch.settlement.push(Change::Put(row.clone())));
    }
    for (t, row) in state.pnl.values() {
        at(*t, &mut |batch| batch.pnl.push(Change::Put(row.clone())));
    }
    for (t, row) in state.bid_kpis.values() {
        at(*t, &mut |batch| batch.bid_kpis.push(Change::Put(row.clone())));
    }
    for (t, row) in state.rules.values() {
        at(*t, &mut |batch| batch.rules.push(Change::Put(row.clone())));
    }
    for alert in state.alerts.values() {
        at(alert.changed_t, &mut |batch| batch.alerts.push(alert.clone()));
    }
    for (t, rows) in &state.ticks {
        at(*t, &mut |batch| batch.ticks = Arc::clone(rows));
    }
    for (t, notice) in &state.notices {
        at(*t, &mut |batch| batch.notices.push(notice.clone()));
    }
    if let Some(mut first) = moments.first_entry() {
        first.get_mut().names = state.names.values().cloned().collect();
    }
    moments.into_values().map(Arc::new).collect()
}

/// Cuts batches into runs of at most `max_rows` rows, or of one batch that has more.
pub(crate) fn runs(batches: &[Arc<Batch>], max_rows: usize) -> Vec<&[Arc<Batch>]> {
    let (mut runs, mut rest, mut rows, mut length) = (Vec::new(), batches, 0, 0);
    for batch in batches {
        if length > 0 && rows + batch.rows() > max_rows {
            let (run, after) = rest.split_at(length);
            runs.push(run);
            (rest, rows, length) = (after, 0, 0);
        }
        rows += batch.rows();
        length += 1;
    }
    if !rest.is_empty() {
        runs.push(rest);
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample;
    use model::snapshot::Limits;

    #[test]
    fn batches_of_a_state_lead_to_that_state() {
        let (context, batch) = sample::batch();
        let mut state = Snapshot::new(Limits::default());
        state.apply(&Batch { names: context.names.all(), ..Batch::clone(&batch) });
        state.apply(&Batch { t: sample::T + 5, ..Batch::default() });
        let told = batches(&state);
        assert_eq!(told.iter().map(|batch| batch.t).collect::<Vec<_>>(), [sample::T, sample::T + 5]);
        let mut again = Snapshot::new(Limits::default());
        told.iter().for_each(|batch| again.apply(batch));
        assert_eq!((again.t, &again.bars, &again.latest), (state.t, &state.bars, &state.latest));
        assert_eq!((&again.alerts, &again.names), (&state.alerts, &state.names));
        assert!(!state.bars.is_empty() && !state.alerts.is_empty());
    }

    #[test]
    fn the_price_of_a_silent_series_is_told_though_its_bar_has_left() {
        let (_, batch) = sample::batch();
        let mut state = Snapshot::new(Limits { minute_ms: 60_000, ..Limits::default() });
        state.apply(&batch);
        state.apply(&Batch { t: sample::T + 3_600_000, ..Batch::default() });
        assert!(state.bars.is_empty() && state.latest.len() == 1);
        assert_eq!(batches(&state)[0].bars.len(), 1);
    }

    #[test]
    fn runs_hold_every_batch_once_and_in_order() {
        let batch = |t: T, rows: usize| {
            let (_, sample) = sample::batch();
            Arc::new(Batch { t, bars: vec![sample.bars[0]; rows], ..Batch::default() })
        };
        let all = [batch(1, 3), batch(2, 3), batch(3, 0), batch(4, 20), batch(5, 1)];
        let lengths = |max| runs(&all, max).into_iter().map(<[_]>::len).collect::<Vec<_>>();
        assert_eq!((lengths(6), lengths(1), lengths(1_000)), (vec![3, 1, 1], vec![1; 5], vec![5]));
        assert!(runs(&[], 5).is_empty());
    }
}
