//! Reading DER strictly, for what comes from the wire and no library at hand reads: one element after the other,
//! definite and shortest lengths only (X.690 section 10.1), nothing copied.

/// What is left to be read. Every answer is `None` where the octets are no DER, or not what was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

/// One element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Element<'a> {
    /// Its tag octet.
    pub(crate) tag: u8,
    /// What is in it.
    pub(crate) contents: &'a [u8],
    /// All of it, header and contents.
    pub(crate) encoded: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next element, whatever it is.
    pub(crate) fn element(&mut self) -> Option<Element<'a>> {
        let [tag, first, rest @ ..] = self.0 else {
            return None;
        };
        // Tags above 30 take more octets; nothing that is read here has one.
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (length, header) = match first {
            0..0x80 => (usize::from(*first), 2),
            0x81..=0x84 => {
                let count = usize::from(first & 0x7f);
                let octets = rest.get(..count)?;
                let length = octets
                    .iter()
                    .fold(0_usize, |length, octet| length << 8 | usize::from(*octet));
                // The shortest form, and no leading zero.
                if length < 0x80 || octets[0] == 0 {
                    return None;
                }
                (length, 2 + count)
            }
            0x80 | 0x85.. => return None,
        };
        let end = header + length;
        let element = Element {
            tag: *tag,
            contents: self.0.get(header..end)?,
            encoded: self.0.get(..end)?,
        };
        self.0 = &self.0[end..];
        Some(element)
    }

    /// The next element, which must have this tag.
    pub(crate) fn expect(&mut self, tag: u8) -> Option<Element<'a>> {
        self.element().filter(|element| element.tag == tag)
    }

    /// What is in the next element, which must have this tag.
    pub(crate) fn within(&mut self, tag: u8) -> Option<Self> {
        self.expect(tag).map(|element| Self(element.contents))
    }

    /// The next element if it has this tag; where it hasn't, nothing is read.
    pub(crate) fn optional(&mut self, tag: u8) -> Option<Option<Element<'a>>> {
        if self.0.first() == Some(&tag) {
            self.element().map(Some)
        } else {
            Some(None)
        }
    }

    /// Nothing must be left.
    pub(crate) fn end(&self) -> Option<()> {
        self.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_shortest_definite_length_is_read() {
        let long = |header: &[u8]| [header, &[7; 128]].concat();
        for (octets, contents) in [
            (vec![4, 2, 1, 2], Some(2)),
            (vec![4, 0], Some(0)),
            (long(&[4, 0x81, 0x80]), Some(128)),
            (vec![4, 0x81, 1, 1], None),
            (long(&[4, 0x82, 0, 0x80]), None),
            (vec![0x30, 0x80, 0, 0], None),
            (vec![4, 0x85, 0, 0, 0, 0, 1, 1], None),
            (vec![4, 0x84, 0xff, 0xff, 0xff, 0xff], None),
            (vec![0x1f, 0x81, 0, 0], None),
            (vec![4, 3, 1, 2], None),
            (vec![4], None),
            (vec![], None),
        ] {
            let read = Reader::new(&octets).element();
            assert_eq!(
                read.map(|element| element.contents.len()),
                contents,
                "{octets:02x?}"
            );
        }
    }
}
