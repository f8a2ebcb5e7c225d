//! Numbers as line protocol wants them: the shortest text that reads back as the same number.

use std::io::Write;

/// Appends `value` in decimal.
pub(super) fn push_integer(out: &mut Vec<u8>, value: i64) {
    if value < 0 {
        out.push(b'-');
    }
    push_digits(out, value.unsigned_abs());
}

/// Appends `value`, which is finite. Sensors mostly report up to three decimals, and those need
/// no general algorithm: `n / 1000` is rounded correctly, so when it gives `value` back, `n` in
/// decimal is a text of `value`.
pub(super) fn push_float(out: &mut Vec<u8>, value: f64) {
    let size = value.abs();
    if size < 1e12 {
        let thousandths = (value * 1000.0).round();
        if thousandths / 1000.0 == value {
            return push_thousandths(out, thousandths as i64);
        }
    }
    // Writing to a vector cannot fail.
    let _infallible = if (1e-5..1e16).contains(&size) {
        write!(out, "{value}")
    } else {
        write!(out, "{value:e}")
    };
}

fn push_thousandths(out: &mut Vec<u8>, thousandths: i64) {
    if thousandths < 0 {
        out.push(b'-');
    }
    let size = thousandths.unsigned_abs();
    push_digits(out, size / 1000);
    let mut rest = size % 1000;
    if rest > 0 {
        out.push(b'.');
    }
    let mut unit = 100;
    while rest > 0 {
        out.push(b'0' + (rest / unit) as u8);
        rest %= unit;
        unit /= 10;
    }
}

fn push_digits(out: &mut Vec<u8>, mut value: u64) {
    let start = out.len();
    loop {
        out.push(b'0' + (value % 10) as u8);
        value /= 10;
        if value == 0 {
            break;
        }
    }
    if let Some(digits) = out.get_mut(start..) {
        digits.reverse();
    }
}
