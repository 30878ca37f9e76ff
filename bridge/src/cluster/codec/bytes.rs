//! A small format whose every length is checked: what protobuf has no message for.

use crate::error::{Error, Result};

#[derive(Default)]
pub(super) struct Writer {
    pub bytes: Vec<u8>,
}

impl Writer {
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    pub fn flag(&mut self, value: bool) {
        self.u8(value.into());
    }

    pub fn u32(&mut self, value: usize) -> Result<()> {
        let value = u32::try_from(value).map_err(|_| Error::unsupported("a plan is too large"))?;
        self.bytes.extend(value.to_le_bytes());
        Ok(())
    }

    pub fn u64(&mut self, value: u64) {
        self.bytes.extend(value.to_le_bytes());
    }

    pub fn option(&mut self, value: Option<u64>) {
        self.flag(value.is_some());
        self.u64(value.unwrap_or(0));
    }

    /// A byte that may be absent.
    pub fn maybe(&mut self, value: Option<u8>) {
        self.flag(value.is_some());
        self.u8(value.unwrap_or(0));
    }

    pub fn data(&mut self, value: &[u8]) -> Result<()> {
        self.u32(value.len())?;
        self.bytes.extend(value);
        Ok(())
    }

    pub fn text(&mut self, value: &str) -> Result<()> {
        self.data(value.as_bytes())
    }
}

/// Believes nothing: what is not there is an error, and nothing is allocated by a length.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

/// What these bytes say cannot be.
pub(super) fn damaged(what: &str) -> Box<Error> {
    Error::internal("a plan that arrived cannot be read").with_detail(format!("{what}."))
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    pub fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let cut = self.rest.split_at_checked(count);
        let (taken, rest) = cut.ok_or_else(|| damaged("It ends early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    pub fn u8(&mut self) -> Result<u8> {
        Ok(self.array::<1>()?[0])
    }

    pub fn flag(&mut self) -> Result<bool> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(damaged("A flag is neither set nor unset")),
        }
    }

    pub fn u32(&mut self) -> Result<usize> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    pub fn u64(&mut self) -> Result<u64> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub fn option(&mut self) -> Result<Option<u64>> {
        let (there, value) = (self.flag()?, self.u64()?);
        Ok(there.then_some(value))
    }

    pub fn maybe(&mut self) -> Result<Option<u8>> {
        let (there, value) = (self.flag()?, self.u8()?);
        Ok(there.then_some(value))
    }

    pub fn data(&mut self) -> Result<&'a [u8]> {
        let count = self.u32()?;
        self.take(count)
    }

    pub fn text(&mut self) -> Result<&'a str> {
        std::str::from_utf8(self.data()?).map_err(|_| damaged("A text is not UTF-8"))
    }

    /// How many things follow, each of at least `bytes_each` bytes.
    pub fn count(&mut self, bytes_each: usize) -> Result<usize> {
        let count = self.u32()?;
        match count <= self.rest.len() / bytes_each.max(1) {
            true => Ok(count),
            false => Err(damaged("It ends early")),
        }
    }

    pub fn end(&self) -> Result<()> {
        match self.rest.is_empty() {
            true => Ok(()),
            false => Err(damaged("More follows after its end")),
        }
    }
}
