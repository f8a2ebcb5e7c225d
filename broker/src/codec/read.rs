//! Reading of the data types of MQTT (section 1.5), without panics.

use super::reason::Malformed;

/// Above this no variable byte integer can go (1.5.5).
pub(super) const VARINT_MAX: u32 = 268_435_455;

const TRUNCATED: Malformed = Malformed::packet("the packet ends too early");

/// What is left of a packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        let (&byte, rest) = self.rest.split_first().ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// A variable byte integer, in as few bytes as it needs.
    pub(super) fn varint(&mut self) -> Result<u32, Malformed> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.u8()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return if byte == 0 && shift > 0 {
                    Err(Malformed::packet(
                        "a variable byte integer is longer than it needs",
                    ))
                } else {
                    Ok(value)
                };
            }
        }
        Err(Malformed::packet(
            "a variable byte integer is above four bytes",
        ))
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(head)
    }

    /// Binary data: two bytes of length, then the bytes.
    pub(super) fn data(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// A UTF-8 string without NUL.
    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        let bytes = self.data()?;
        if bytes.contains(&0) {
            return Err(Malformed::packet("a string has a NUL"));
        }
        std::str::from_utf8(bytes).map_err(|_| Malformed::packet("a string is not UTF-8"))
    }

    /// A packet identifier.
    pub(super) fn pkid(&mut self) -> Result<u16, Malformed> {
        match self.u16()? {
            0 => Err(Malformed::protocol("packet identifier 0")),
            pkid => Ok(pkid),
        }
    }

    /// The packet must end here.
    pub(super) fn finish(&self) -> Result<(), Malformed> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(Malformed::packet("bytes are left after the packet"))
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(*head)
    }
}
