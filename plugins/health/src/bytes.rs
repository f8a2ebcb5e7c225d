//! The state as bytes, little endian: version (u8, 1), number of assets (u32), then by asset
//! ascending: id (u32), base end (u64), 7 x (active, above, below: u8), 5 x raised code (u32),
//! number of kept hours (u8), and of each: end (u64), told EAQI and LQI (u8 each, 0: none), mask of
//! means (u8), and a f64 for each bit of the mask, lowest first.

use std::collections::BTreeMap;

use crate::hours::{Counts, Hour, Hours, KEPT};
use crate::hysteresis::Counter;
use crate::index::Index;

const VERSION: u8 = 1;

/// The state of all assets.
pub fn encode(assets: &BTreeMap<u32, Hours>) -> Vec<u8> {
    let mut out = Vec::with_capacity(5 + assets.len() * 110);
    out.push(VERSION);
    out.extend((assets.len() as u32).to_le_bytes());
    for (asset, hours) in assets {
        out.extend(asset.to_le_bytes());
        out.extend(hours.base.end_ms.to_le_bytes());
        for counter in hours.base.levels {
            out.extend([u8::from(counter.active), counter.above, counter.below]);
        }
        hours
            .raised
            .iter()
            .for_each(|code| out.extend(code.to_le_bytes()));
        out.push(hours.kept.len() as u8);
        for hour in &hours.kept {
            encode_hour(hour, &mut out);
        }
    }
    out
}

fn encode_hour(hour: &Hour, out: &mut Vec<u8>) {
    out.extend(hour.end_ms.to_le_bytes());
    out.extend(hour.told.map_or([0, 0], |told| [told.eaqi, told.lqi]));
    let mask = (0..hour.means.len()).filter(|&i| hour.means[i].is_some());
    out.push(mask.fold(0, |mask, i| mask | 1 << i));
    hour.means
        .iter()
        .flatten()
        .for_each(|mean| out.extend(mean.to_le_bytes()));
}

/// The inverse of [`encode`]; `None` where the bytes are not of this version or not whole.
pub fn decode(bytes: &[u8]) -> Option<BTreeMap<u32, Hours>> {
    let mut rest = bytes;
    if take::<1>(&mut rest)? != [VERSION] {
        return None;
    }
    let mut assets = BTreeMap::new();
    for _ in 0..u32::from_le_bytes(take(&mut rest)?) {
        let asset = u32::from_le_bytes(take(&mut rest)?);
        let mut hours = Hours::default();
        hours.base = Counts {
            end_ms: u64::from_le_bytes(take(&mut rest)?),
            ..hours.base
        };
        for counter in &mut hours.base.levels {
            let [active, above, below] = take(&mut rest)?;
            *counter = Counter {
                active: active != 0,
                above,
                below,
            };
        }
        for code in &mut hours.raised {
            *code = u32::from_le_bytes(take(&mut rest)?);
        }
        let [kept] = take(&mut rest)?;
        if usize::from(kept) > KEPT {
            return None;
        }
        for _ in 0..kept {
            hours.kept.push(decode_hour(&mut rest)?);
        }
        assets.insert(asset, hours);
    }
    rest.is_empty().then_some(assets)
}

fn decode_hour(rest: &mut &[u8]) -> Option<Hour> {
    let end_ms = u64::from_le_bytes(take(rest)?);
    let [eaqi, lqi, mask] = take(rest)?;
    let told = (eaqi != 0).then_some(Index { eaqi, lqi });
    let mut means = [None; 5];
    for (i, mean) in means.iter_mut().enumerate() {
        if mask & 1 << i != 0 {
            *mean = Some(f64::from_le_bytes(take(rest)?));
        }
    }
    Some(Hour {
        end_ms,
        means,
        told,
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk()?;
    *rest = tail;
    Some(*head)
}
