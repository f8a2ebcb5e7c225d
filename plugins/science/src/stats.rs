//! Median and median absolute deviation.

/// Median and median absolute deviation from it; `None` of nothing. Of an even number the median is
/// the mean of the two in the middle.
#[must_use]
pub fn median_and_mad(values: &[f64]) -> Option<(f64, f64)> {
    let median = median(values.to_vec())?;
    let deviations = values.iter().map(|value| (value - median).abs());
    Some((median, self::median(deviations.collect())?))
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    let lower = *values.get(values.len() / 2 - 1)?;
    Some(lower + (upper - lower) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle_and_the_deviation_around_it() {
        assert_eq!(median_and_mad(&[]), None);
        assert_eq!(median_and_mad(&[7.0]), Some((7.0, 0.0)));
        assert_eq!(median_and_mad(&[9.0, 1.0, 5.0, 4.0]), Some((4.5, 2.0)));
        assert_eq!(
            median_and_mad(&[100.0, 2.0, 4.0, 1.0, 3.0]),
            Some((3.0, 1.0))
        );
    }
}
