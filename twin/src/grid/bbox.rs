//! Boxes of latitude and longitude.

use h3o::LatLng;

use crate::model::Place;

/// A box in WGS 84 degrees, edges included; where west is greater than east it crosses the
/// antimeridian. Always finite, south at most north, latitudes within ±90, longitudes within ±180.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BBox {
    west: f64,
    south: f64,
    east: f64,
    north: f64,
}

impl BBox {
    /// In the order of GeoJSON. `None` where a number is out of range or south is above north.
    pub fn new(west: f64, south: f64, east: f64, north: f64) -> Option<Self> {
        let latitudes = -90.0 <= south && south <= north && north <= 90.0;
        let longitudes = west.abs() <= 180.0 && east.abs() <= 180.0;
        (latitudes && longitudes).then_some(Self {
            west,
            south,
            east,
            north,
        })
    }

    /// Whether the place is in the box or on its edge. The meridians 180 and -180 are one.
    pub fn contains(&self, place: Place) -> bool {
        let lon = place.lon();
        (self.south..=self.north).contains(&place.lat())
            && (self.contains_lon(lon) || lon.abs() == 180.0 && self.contains_lon(-lon))
    }

    fn contains_lon(&self, lon: f64) -> bool {
        if self.west <= self.east {
            self.west <= lon && lon <= self.east
        } else {
            self.west <= lon || lon <= self.east
        }
    }

    /// Whether the circle of `reach` radians around `centre` can meet the box: false only when
    /// the circle's own box of latitude and longitude does not.
    pub(super) fn may_meet(&self, centre: LatLng, reach: f64) -> bool {
        let lat = centre.lat();
        let lat_reach = reach.to_degrees();
        if lat + lat_reach < self.south || lat - lat_reach > self.north {
            return false;
        }
        if lat.abs() + lat_reach >= 90.0 {
            return true;
        }
        let lon_reach = (reach.sin() / centre.lat_radians().cos())
            .asin()
            .to_degrees();
        let width = (self.east - self.west).rem_euclid(360.0);
        if lon_reach.is_nan() || self.east - self.west == 360.0 {
            return true;
        }
        let offset = (centre.lng() - lon_reach - self.west).rem_euclid(360.0);
        offset <= width || offset + 2.0 * lon_reach >= 360.0
    }
}
