//! Batches, chain and news as bytes; what a hostile or broken box may send.

use proptest::prelude::*;

use super::{Batch, BatchWriter, Chain, JournalId, MAX_BYTES, News, UplinkError};

const JOURNAL: JournalId = JournalId(7);

fn written(from: Chain, entries: &[(u64, Vec<u8>)]) -> (Vec<u8>, Chain) {
    let mut writer = BatchWriter::new(JOURNAL, from);
    for (position, entry) in entries {
        assert!(writer.push(*position, entry));
    }
    (writer.encode(None), writer.chain())
}

fn entries(range: std::ops::RangeInclusive<u64>) -> Vec<(u64, Vec<u8>)> {
    range
        .map(|n| (n, format!("entry {n}").into_bytes()))
        .collect()
}

#[test]
fn a_batch_comes_out_as_it_went_in() {
    let (payload, chain) = written(Chain::start(JOURNAL), &entries(1..=3));
    let batch = Batch::decode(&payload).unwrap();
    assert_eq!((batch.first, batch.last(), batch.lost), (1, 3, 0));
    assert_eq!(batch.after, chain.value);
    let found: Vec<_> = batch.entries().map(|(n, e)| (n, e.to_vec())).collect();
    assert_eq!(found, entries(1..=3));
}

#[test]
fn the_chain_does_not_depend_on_how_entries_are_cut_into_batches() {
    let (_, whole) = written(Chain::start(JOURNAL), &entries(1..=9));
    let (_, first) = written(Chain::start(JOURNAL), &entries(1..=4));
    let (_, second) = written(first, &entries(5..=9));
    assert_eq!(whole, second);
    let (_, other) = written(Chain::start(JournalId(8)), &entries(1..=9));
    assert_ne!(whole.value, other.value, "another journal is another chain");
}

#[test]
fn what_is_gone_is_declared_and_bound_into_the_chain() {
    let start = Chain::start(JOURNAL);
    let (payload, chain) = written(start, &entries(5..=6));
    let batch = Batch::decode(&payload).unwrap();
    assert_eq!((batch.first, batch.lost), (5, 4));
    let by_hand = start.lost(4).entry(b"entry 5").entry(b"entry 6");
    assert_eq!(chain, by_hand);
    assert_ne!(
        chain.value,
        start
            .lost(3)
            .lost(4)
            .entry(b"entry 5")
            .entry(b"entry 6")
            .value
    );
}

#[test]
fn a_gap_within_a_batch_is_not_taken() {
    let mut writer = BatchWriter::new(JOURNAL, Chain::start(JOURNAL));
    assert!(writer.push(1, b"a"));
    assert!(!writer.push(3, b"c"));
}

#[test]
fn a_bomb_is_refused_before_it_takes_memory() {
    let mut writer = BatchWriter::new(JOURNAL, Chain::start(JOURNAL));
    assert!(!writer.push(1, &vec![0; super::MAX_BYTES + 1]));
    let packed = super::squeeze::pack(&vec![0; super::MAX_BYTES + 1]);
    let unpacked = super::squeeze::unpack(&packed, MAX_BYTES);
    assert_eq!(unpacked, Err(UplinkError::TooLarge(MAX_BYTES)));
}

proptest! {
    #[test]
    fn no_bytes_bring_it_down(payload: Vec<u8>, cut in 0usize..200, flip in 0usize..200) {
        let _ = Batch::decode(&payload);
        let _ = News::decode(&payload);
        let (good, _) = written(Chain::start(JOURNAL), &entries(1..=5));
        let mut bad = good.clone();
        if let Some(byte) = bad.get_mut(flip) {
            *byte ^= 0x55;
        }
        let _ = Batch::decode(&bad);
        let _ = Batch::decode(good.get(..cut.min(good.len())).unwrap_or_default());
        let news = News::default().encode();
        let _ = News::decode(news.get(..cut.min(news.len())).unwrap_or_default());
    }
}
