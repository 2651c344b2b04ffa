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
        let tag = *self.0.first()?;
        // Tags above 30 take more octets; only [`Self::explicit`] reads those.
        if tag & 0x1f == 0x1f {
            return None;
        }
        self.after_tag(tag, 1)
    }

    /// The next element, which must be context-specific and constructed: its tag's number, and what is in it. Numbers above
    /// 30 are read too, up to three octets of them (X.690 section 8.1.2.4).
    pub(crate) fn explicit(&mut self) -> Option<(u32, Self)> {
        let [first, rest @ ..] = self.0 else {
            return None;
        };
        if first & 0xe0 != 0xa0 {
            return None;
        }
        let short = first & 0x1f;
        if short != 0x1f {
            let element = self.after_tag(*first, 1)?;
            return Some((u32::from(short), Self(element.contents)));
        }
        let more = rest.iter().take(3).take_while(|octet| **octet & 0x80 != 0);
        let octets = rest.get(..more.count() + 1)?;
        let number = octets
            .iter()
            .fold(0_u32, |number, octet| number << 7 | u32::from(octet & 0x7f));
        // The shortest form, and its last octet among those that were looked at.
        if number < 0x1f || octets[0] == 0x80 || octets.last()? & 0x80 != 0 {
            return None;
        }
        let element = self.after_tag(*first, 1 + octets.len())?;
        Some((number, Self(element.contents)))
    }

    /// The next element, whose tag takes so many octets.
    fn after_tag(&mut self, tag: u8, tag_octets: usize) -> Option<Element<'a>> {
        let [first, rest @ ..] = self.0.get(tag_octets..)? else {
            return None;
        };
        let (length, header) = match first {
            0..0x80 => (usize::from(*first), 1),
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
                (length, 1 + count)
            }
            0x80 | 0x85.. => return None,
        };
        let header = tag_octets + header;
        let end = header + length;
        let element = Element {
            tag,
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
    #[test]
    fn an_explicit_tag_is_read_in_its_shortest_form_only() {
        for (octets, read) in [
            (&[0xa1, 2, 5, 0][..], Some((1, 2))),
            (&[0xbf, 0x85, 0x3e, 3, 2, 1, 0], Some((702, 3))),
            (&[0xbf, 0x1f, 0], Some((31, 0))),
            // As a short tag; with a leading zero; unfinished; too long; not constructed; universal.
            (&[0xbf, 0x1e, 0], None),
            (&[0xbf, 0x80, 0x1f, 0], None),
            (&[0xbf, 0x85], None),
            (&[0xbf], None),
            (&[0xbf, 0x81, 0x81, 0x81, 0x81, 0x01, 0], None),
            (&[0x9f, 0x85, 0x3e, 0], None),
            (&[0x30, 0], None),
            (&[0xbf, 0x85, 0x3e, 3, 2, 1], None),
            (&[], None),
        ] {
            let explicit = Reader::new(octets).explicit();
            assert_eq!(
                explicit.map(|(number, inner)| (number, inner.0.len())),
                read,
                "{octets:02x?}"
            );
        }
    }
}
