//! The few DER encodings (X.690) that no library at hand writes for us: a value with its header, and the replacement
//! of one element of a SEQUENCE; and a strict [`Reader`](reader::Reader).

pub(crate) mod reader;

/// Tags that are written here.
pub(crate) mod tag {
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const NULL: u8 = 0x05;
    pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const CONTEXT_CONSTRUCTED: u8 = 0xa0;
    /// `[2] IMPLICIT IA5String`: the dNSName of a GeneralName.
    pub(crate) const DNS_NAME: u8 = 0x82;
    /// `[7] IMPLICIT OCTET STRING`: the iPAddress of a GeneralName.
    pub(crate) const IP_NAME: u8 = 0x87;
    /// `[6] IMPLICIT IA5String`: the uniformResourceIdentifier of a GeneralName.
    pub(crate) const URI_NAME: u8 = 0x86;
}

/// A value with its header.
pub(crate) fn encode(tag: u8, contents: &[&[u8]]) -> Vec<u8> {
    let length: usize = contents.iter().map(|part| part.len()).sum();
    let mut out = Vec::with_capacity(length + 6);
    out.push(tag);
    if length < 0x80 {
        out.push(length as u8);
    } else {
        let octets = length.to_be_bytes();
        let significant = &octets[octets.iter().take_while(|octet| **octet == 0).count()..];
        out.push(0x80 | significant.len() as u8);
        out.extend_from_slice(significant);
    }
    for part in contents {
        out.extend_from_slice(part);
    }
    out
}

/// The first value of `octets`: its whole encoding, its contents, and what follows it.
pub(crate) fn split(octets: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let first = *octets.get(1)?;
    let rest = &octets[2..];
    let (length, header) = if first < 0x80 {
        (usize::from(first), 2)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 {
            return None;
        }
        let length = rest
            .get(..count)?
            .iter()
            .fold(0_usize, |length, octet| length << 8 | usize::from(*octet));
        (length, 2 + count)
    };
    let end = header.checked_add(length)?;
    Some((
        octets.get(..end)?,
        octets.get(header..end)?,
        octets.get(end..)?,
    ))
}

/// The SEQUENCE `sequence` with its element number `index` (from 0) replaced by the encoded `element`.
pub(crate) fn replace_element(sequence: &[u8], index: usize, element: &[u8]) -> Option<Vec<u8>> {
    let (_, contents, _) = split(sequence)?;
    let mut rest = contents;
    for _ in 0..index {
        rest = split(rest)?.2;
    }
    let before = &contents[..contents.len() - rest.len()];
    let after = split(rest)?.2;
    Some(encode(tag::SEQUENCE, &[before, element, after]))
}

/// Whether `octets` are one DER value with nothing behind it, and what is constructed in it is so again: definite,
/// shortest lengths all the way down (X.690 section 10.1).
pub(crate) fn is_one_value(octets: &[u8]) -> bool {
    fn values(mut octets: &[u8], depth: usize) -> Option<usize> {
        let mut count = 0;
        while !octets.is_empty() {
            let (whole, contents, rest) = split(octets)?;
            // Tags above 30 take more octets, which nothing of ours reads; end-of-contents is no value.
            let tag = whole[0];
            if depth > 32 || tag & 0x1f == 0x1f || tag == 0 || encode(tag, &[contents]) != whole {
                return None;
            }
            if tag & 0x20 != 0 {
                values(contents, depth + 1)?;
            }
            octets = rest;
            count += 1;
        }
        Some(count)
    }
    values(octets, 0) == Some(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_is_told_from_what_is_none() {
        for (text, good) in [
            ("0500", true),
            ("0c026869", true),
            ("3006300402010105", false),
            ("30053003020101", true),
            ("3000", true),
            ("", false),
            ("05", false),
            ("05000500", false),
            ("0c036869", false),
            ("0c81026869", false),
            ("3080020101", false),
            ("30800201010000", false),
            ("3003020201", false),
            ("1f020101", false),
        ] {
            let octets = hex::decode(text).expect("hexadecimal");
            assert_eq!(is_one_value(&octets), good, "{text}");
        }
    }

    #[test]
    fn an_element_is_replaced_and_every_length_follows() {
        let long = vec![7; 300];
        let sequence = encode(tag::SEQUENCE, &[&[2, 1, 5], &[4, 1, 9], &[2, 1, 6]]);
        let replaced = replace_element(&sequence, 1, &encode(4, &[&long])).expect("replaced");
        let (whole, contents, rest) = split(&replaced).expect("well-formed");
        assert_eq!((whole.len(), rest.len()), (replaced.len(), 0));
        assert_eq!(&contents[..3], [2, 1, 5]);
        let (_, middle, after) = split(&contents[3..]).expect("well-formed");
        assert_eq!((middle, after), (&long[..], &[2, 1, 6][..]));
        assert_eq!(replace_element(&sequence, 3, &[5, 0]), None);
        assert_eq!(split(&[0x30, 0x82, 0xff]), None);
        assert_eq!(split(&[0x30]), None);
    }
}
