//! Units of measurement: which spellings mean the same quantity, and how to convert between them.
//!
//! A table of families, one a physical quantity. Spellings are UCUM codes, the SenML unit names
//! of RFC 8428 and RFC 8798, and what devices print (`°C`, `µg/m³`). A spelling may stand in two
//! families (`dB` of a signal, `dB` of a sound): the family of the wanted unit decides. Letters
//! that UCUM gives to quantities this platform does not measure are read as people mean them:
//! `C` is Celsius, not coulomb, `F` Fahrenheit, not farad.
//!
//! A value in the family's base is `(value + offset) * num / den`. Both are whole numbers where
//! the definition allows, so that a conversion by a power of ten rounds once.

/// One spelling of a unit.
#[derive(Debug)]
struct Unit {
    spelling: &'static str,
    num: f64,
    den: f64,
    offset: f64,
}

/// Units of one physical quantity; any converts to any other.
#[derive(Debug)]
struct Family {
    units: &'static [Unit],
}

impl Family {
    fn unit(&self, spelling: &str) -> Option<&'static Unit> {
        self.units.iter().find(|unit| unit.spelling == spelling)
    }
}

/// A unit that values are converted to.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    family: &'static Family,
    unit: &'static Unit,
}

impl Target {
    /// `None` where the table does not know the spelling.
    pub fn of(spelling: &str) -> Option<Self> {
        FAMILIES
            .iter()
            .find_map(|family| family.unit(spelling).map(|unit| Self { family, unit }))
    }

    /// `value`, given in the unit `from`, in this unit; `None` where `from` is unknown or measures
    /// something else. Not finite where the result is beyond f64.
    pub fn convert(self, value: f64, from: &str) -> Option<f64> {
        if from == self.unit.spelling {
            return Some(value);
        }
        let from = self.family.unit(from)?;
        let num = from.num * self.unit.den;
        let den = from.den * self.unit.num;
        let shifted = value + from.offset;
        let scaled = if num % den == 0.0 {
            shifted * (num / den)
        } else if den % num == 0.0 {
            shifted / (den / num)
        } else {
            shifted * num / den
        };
        Some(scaled - self.unit.offset)
    }
}

/// A value cannot be converted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unit {from:?} is unknown or cannot be converted to {to:?}")]
pub struct UnitError {
    /// Unit as sent.
    pub from: String,
    /// Unit that was wanted.
    pub to: String,
}

/// `value`, given in the unit `from`, in the unit `to`.
///
/// # Errors
/// A unit is unknown, or the two measure different quantities.
pub fn convert(value: f64, from: &str, to: &str) -> Result<f64, UnitError> {
    Target::of(to)
        .and_then(|target| target.convert(value, from))
        .ok_or_else(|| UnitError {
            from: from.to_owned(),
            to: to.to_owned(),
        })
}

/// `num` base units.
const fn of(spelling: &'static str, num: f64) -> Unit {
    Unit {
        spelling,
        num,
        den: 1.0,
        offset: 0.0,
    }
}

/// The `den`th part of a base unit.
const fn part(spelling: &'static str, den: f64) -> Unit {
    Unit {
        spelling,
        num: 1.0,
        den,
        offset: 0.0,
    }
}

/// A scale whose zero lies at `-offset` on its own numbers.
const fn from_zero(spelling: &'static str, offset: f64, num: f64, den: f64) -> Unit {
    Unit {
        spelling,
        num,
        den,
        offset,
    }
}

static FAMILIES: &[Family] = &[
    Family {
        // Active power, W.
        units: &[
            of("W", 1.0),
            of("kW", 1e3),
            of("MW", 1e6),
            of("GW", 1e9),
            part("mW", 1e3),
        ],
    },
    Family {
        // Apparent power, VA.
        units: &[
            of("VA", 1.0),
            of("kVA", 1e3),
            of("MVA", 1e6),
            of("V.A", 1.0),
            of("kV.A", 1e3),
            of("MV.A", 1e6),
        ],
    },
    Family {
        // Reactive power, var.
        units: &[
            of("var", 1.0),
            of("kvar", 1e3),
            of("Mvar", 1e6),
            of("VAr", 1.0),
            of("kVAr", 1e3),
        ],
    },
    Family {
        // Energy, J.
        units: &[
            of("J", 1.0),
            of("kJ", 1e3),
            of("MJ", 1e6),
            of("GJ", 1e9),
            of("Wh", 3.6e3),
            of("kWh", 3.6e6),
            of("MWh", 3.6e9),
            of("GWh", 3.6e12),
            of("W.h", 3.6e3),
            of("kW.h", 3.6e6),
            of("MW.h", 3.6e9),
            of("W.s", 1.0),
            of("Ws", 1.0),
        ],
    },
    Family {
        // Reactive energy, var second.
        units: &[
            of("vars", 1.0),
            of("varh", 3.6e3),
            of("kvarh", 3.6e6),
            of("Mvarh", 3.6e9),
        ],
    },
    Family {
        units: &[of("V", 1.0), of("kV", 1e3), part("mV", 1e3)],
    },
    Family {
        units: &[of("A", 1.0), of("kA", 1e3), part("mA", 1e3)],
    },
    Family {
        // Events in time, an hour.
        units: &[
            of("1/h", 1.0),
            of("/h", 1.0),
            of("1/min", 60.0),
            of("/min", 60.0),
            of("1/s", 3.6e3),
            of("/s", 3.6e3),
            of("Hz", 3.6e3),
            of("kHz", 3.6e6),
            of("MHz", 3.6e9),
            of("mHz", 3.6),
        ],
    },
    Family {
        // Ratios and plain numbers, millionths.
        units: &[
            of("1", 1e6),
            of("/", 1e6),
            of("count", 1e6),
            of("%", 1e4),
            of("%RH", 1e4),
            of("%EL", 1e4),
            of("/100", 1e4),
            of("[ppth]", 1e3),
            of("/1000", 1e3),
            of("\u{2030}", 1e3),
            of("ppm", 1.0),
            of("[ppm]", 1.0),
            part("ppb", 1e3),
            part("[ppb]", 1e3),
        ],
    },
    Family {
        // Mass in volume, nanogram a cubic metre. Both code points of the micro sign.
        units: &[
            of("ng/m3", 1.0),
            of("ng/m\u{b3}", 1.0),
            of("ug/m3", 1e3),
            of("\u{b5}g/m\u{b3}", 1e3),
            of("\u{3bc}g/m\u{b3}", 1e3),
            of("\u{b5}g/m3", 1e3),
            of("\u{3bc}g/m3", 1e3),
            of("ug/m\u{b3}", 1e3),
            of("mg/m3", 1e6),
            of("mg/m\u{b3}", 1e6),
            of("g/m3", 1e9),
            of("kg/m3", 1e12),
        ],
    },
    Family {
        // Temperature, degree Celsius.
        units: &[
            of("Cel", 1.0),
            of("\u{b0}C", 1.0),
            of("\u{2103}", 1.0),
            of("degC", 1.0),
            of("C", 1.0),
            from_zero("K", -273.15, 1.0, 1.0),
            from_zero("[degF]", -32.0, 5.0, 9.0),
            from_zero("\u{b0}F", -32.0, 5.0, 9.0),
            from_zero("degF", -32.0, 5.0, 9.0),
            from_zero("F", -32.0, 5.0, 9.0),
        ],
    },
    Family {
        // Pressure, Pa.
        units: &[
            of("Pa", 1.0),
            of("hPa", 1e2),
            of("kPa", 1e3),
            of("MPa", 1e6),
            of("mbar", 1e2),
            of("bar", 1e5),
            part("mPa", 1e3),
        ],
    },
    Family {
        // Speed, metre an hour.
        units: &[
            of("m/h", 1.0),
            of("m/s", 3.6e3),
            of("m.s-1", 3.6e3),
            of("km/h", 1e3),
            of("kn", 1852.0),
            of("[kn_i]", 1852.0),
            of("mph", 1609.344),
            of("[mi_i]/h", 1609.344),
        ],
    },
    Family {
        units: &[
            of("deg", 1.0),
            of("\u{b0}", 1.0),
            from_zero("rad", 0.0, 180.0, std::f64::consts::PI),
        ],
    },
    Family {
        // Irradiance, W/m2.
        units: &[
            of("W/m2", 1.0),
            of("W/m\u{b2}", 1.0),
            of("kW/m2", 1e3),
            of("mW/cm2", 10.0),
            part("mW/m2", 1e3),
        ],
    },
    Family {
        units: &[of("lx", 1.0), of("lux", 1.0), of("klx", 1e3)],
    },
    Family {
        // Length, um; a litre of rain on a square metre is a millimetre.
        units: &[
            of("um", 1.0),
            of("mm", 1e3),
            of("l/m2", 1e3),
            of("L/m2", 1e3),
            of("cm", 1e4),
            of("[in_i]", 25_400.0),
            of("m", 1e6),
            of("km", 1e9),
        ],
    },
    Family {
        // Volume, litre.
        units: &[
            of("l", 1.0),
            of("L", 1.0),
            of("dm3", 1.0),
            of("m3", 1e3),
            of("m\u{b3}", 1e3),
            part("ml", 1e3),
        ],
    },
    Family {
        units: &[of("dB", 1.0)],
    },
    Family {
        units: &[of("dBm", 1.0), from_zero("dBW", 30.0, 1.0, 1.0)],
    },
    Family {
        // Sound level, A-weighted where the metric is.
        units: &[
            of("dB(A)", 1.0),
            of("dBA", 1.0),
            of("dB[SPL]", 1.0),
            of("dB", 1.0),
            of("B[SPL]", 10.0),
            of("Bspl", 10.0),
        ],
    },
    Family {
        // Duration, ms.
        units: &[
            of("ms", 1.0),
            of("s", 1e3),
            of("EL", 1e3),
            of("min", 6e4),
            of("h", 3.6e6),
            of("d", 8.64e7),
        ],
    },
    Family {
        units: &[
            of("1/km", 1.0),
            of("/km", 1.0),
            of("1/m", 1e3),
            of("/m", 1e3),
        ],
    },
    Family {
        units: &[
            of("1/m2", 1e6),
            of("/m2", 1e6),
            of("1/m\u{b2}", 1e6),
            of("1/km2", 1.0),
        ],
    },
];

#[cfg(test)]
mod tests;
