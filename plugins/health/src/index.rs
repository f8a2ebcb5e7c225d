//! The class of an hour: round half up, band each pollutant, the worst one decides.

use serde::{Deserialize, Serialize};

use crate::tables::{EAQI, LQI, Means, half_up};

/// Classes of one hour; 1 is the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// 1 good, 2 fair, 3 moderate, 4 poor, 5 very poor, 6 extremely poor.
    pub eaqi: u8,
    /// 1 sehr gut, 2 gut, 3 maessig, 4 schlecht, 5 sehr schlecht.
    pub lqi: u8,
}

/// The classes of an hour; `None` where no pollutant has enough data.
pub fn index(means: &Means) -> Option<Index> {
    Some(Index {
        eaqi: worst(means, &EAQI)?,
        lqi: worst(means, &LQI)?,
    })
}

fn worst<const N: usize>(means: &Means, table: &[[u16; N]; 5]) -> Option<u8> {
    means
        .iter()
        .zip(table)
        .filter_map(|(mean, limits)| Some(class((*mean)?, limits)))
        .max()
}

/// 1 for the first band; a value above the last limit is of the last class.
fn class(mean: f64, limits: &[u16]) -> u8 {
    let rounded = half_up(mean);
    1 + limits
        .iter()
        .filter(|&&limit| rounded > f64::from(limit))
        .count() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Means = [None; 5];

    fn of(row: usize, mean: f64) -> Index {
        let mut means = NONE;
        means[row] = Some(mean);
        index(&means).unwrap()
    }

    #[test]
    fn every_limit_belongs_to_the_band_it_closes() {
        for row in 0..5 {
            for (band, &limit) in EAQI[row].iter().enumerate() {
                assert_eq!(usize::from(of(row, f64::from(limit)).eaqi), band + 1);
                assert_eq!(usize::from(of(row, f64::from(limit) + 1.0).eaqi), band + 2);
            }
            for (band, &limit) in LQI[row].iter().enumerate() {
                assert_eq!(usize::from(of(row, f64::from(limit)).lqi), band + 1);
                assert_eq!(usize::from(of(row, f64::from(limit) + 1.0).lqi), band + 2);
            }
        }
    }

    #[test]
    fn means_are_rounded_half_up_before_banding() {
        assert_eq!(of(0, 5.49).eaqi, 1);
        assert_eq!(of(0, 5.5).eaqi, 2);
        assert_eq!(of(2, 100.499).lqi, 4);
        assert_eq!(of(2, 100.5).lqi, 5);
    }

    #[test]
    fn above_the_last_band_and_below_zero_are_the_outer_classes() {
        assert_eq!(of(3, 100_000.0), Index { eaqi: 6, lqi: 5 });
        assert_eq!(of(3, -3.0), Index { eaqi: 1, lqi: 1 });
    }

    #[test]
    fn the_worst_pollutant_decides_and_each_index_on_its_own() {
        let means = [Some(3.0), None, Some(61.0), Some(20.0), None];
        assert_eq!(index(&means), Some(Index { eaqi: 4, lqi: 4 }));
        let means = [Some(40.0), None, Some(5.0), None, None];
        assert_eq!(index(&means), Some(Index { eaqi: 3, lqi: 4 }));
    }

    #[test]
    fn no_pollutant_with_enough_data_is_no_index() {
        assert_eq!(index(&NONE), None);
    }
}
