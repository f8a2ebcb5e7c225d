//! E1: how far the controllable devices below an overloaded feeder would have to be dimmed.
//!
//! A limit is on net draw from the grid: what a device takes from its own roof is not counted, and
//! it may take that on top of the limit. No limit is ever below the guaranteed minimum. All devices
//! give up the same share of what they draw above it.

/// What is dimmed as one: a device under direct control, or all devices behind one EMS.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    /// Net draw now, kW, not negative.
    pub draw_kw: f64,
    /// Guaranteed minimum, kW.
    pub minimum_kw: f64,
    /// Rated power, kW; not below the minimum.
    pub rated_kw: f64,
}

/// Part of the grid draw that the controllable devices behind one connection cause, kW: generation
/// on site serves everything else first, so it is never understated (BK6-22-300, Anlage 1, 2.3).
/// `grid_kw`: draw at the connection; without a meter there, nothing is credited.
pub fn net_draw_kw(grid_kw: Option<f64>, devices_kw: f64) -> f64 {
    let devices = devices_kw.max(0.0);
    grid_kw.map_or(devices, |grid| grid.max(0.0).min(devices))
}

/// Active power that must go for the apparent power to come down to `target_kva`, kW. Dimming helps
/// only where power is drawn: none for a feeder that feeds back.
pub fn needed_kw(active_kw: f64, reactive_kvar: f64, target_kva: f64) -> f64 {
    let room = (target_kva * target_kva - reactive_kvar * reactive_kvar)
        .max(0.0)
        .sqrt();
    (active_kw - room).max(0.0)
}

/// A limit for each, kW, so that together they give up `needed_kw`, or all they may.
pub fn limits_kw(draws: &[Draw], needed_kw: f64) -> Vec<f64> {
    let above = |draw: &Draw| (draw.draw_kw - draw.minimum_kw).max(0.0);
    let available: f64 = draws.iter().map(above).sum();
    let share = if available > needed_kw {
        needed_kw / available
    } else {
        1.0
    };
    let limit = |draw: &Draw| {
        let limit = draw.minimum_kw + above(draw) * (1.0 - share);
        limit.min(draw.rated_kw).max(draw.minimum_kw)
    };
    draws.iter().map(limit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(draw_kw: f64, minimum_kw: f64, rated_kw: f64) -> Draw {
        Draw {
            draw_kw,
            minimum_kw,
            rated_kw,
        }
    }

    #[test]
    fn what_the_roof_delivers_is_not_drawn_from_the_grid() {
        assert_eq!(net_draw_kw(Some(4.0), 11.0), 4.0);
        assert_eq!(net_draw_kw(Some(-3.0), 11.0), 0.0);
        assert_eq!(net_draw_kw(Some(14.0), 11.0), 11.0);
        assert_eq!(net_draw_kw(None, 11.0), 11.0);
        assert_eq!(net_draw_kw(None, -5.0), 0.0, "a storage that discharges");
    }

    #[test]
    fn reactive_power_takes_its_part_of_the_rating() {
        assert_eq!(needed_kw(100.0, 0.0, 90.0), 10.0);
        assert_eq!(needed_kw(100.0, 54.0, 90.0), 28.0);
        assert_eq!(needed_kw(100.0, 95.0, 90.0), 100.0);
        assert_eq!(needed_kw(-120.0, 0.0, 90.0), 0.0, "feeding back");
    }

    #[test]
    fn all_give_up_the_same_share_and_together_what_is_needed() {
        let draws = [
            draw(11.0, 4.2, 11.0),
            draw(22.0, 8.4, 22.0),
            draw(3.0, 4.2, 11.0),
        ];
        let limits = limits_kw(&draws, 10.2);
        let expected = [7.6, 15.2, 4.2];
        for (limit, expected) in limits.iter().zip(expected) {
            assert!((limit - expected).abs() < 1e-9, "{limits:?}");
        }
    }

    #[test]
    fn no_limit_is_below_the_minimum_however_much_is_needed() {
        let draws = [draw(11.0, 4.2, 11.0), draw(0.0, 6.0, 15.0)];
        assert_eq!(limits_kw(&draws, 1e9), [4.2, 6.0]);
        assert_eq!(limits_kw(&[draw(0.0, 4.2, 11.0)], 0.0), [4.2]);
    }
}
