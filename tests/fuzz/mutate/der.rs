//! Changes to DER that keep the lengths around them right, so that what is deep inside is reached.

use super::bytes;
use crate::fuzz::random::Random;

/// One element, with what is in it.
#[derive(Clone)]
struct Element {
    tag: u8,
    /// A BIT STRING's or OCTET STRING's contents may be elements, too; then these come first.
    prefix: Vec<u8>,
    inner: Inner,
}

#[derive(Clone)]
enum Inner {
    Octets(Vec<u8>),
    Elements(Vec<Element>),
}

/// Nesting beyond this is left as octets.
const MAX_DEPTH: usize = 12;

/// DER with some changes; now and then the octets themselves.
pub fn mutate(der: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let parsed = parse_all(der, 0);
    let Some(mut elements) = parsed.filter(|_| !random.once_in(4)) else {
        let mut octets = der.to_vec();
        bytes::mutate(&mut octets, other, random);
        return octets;
    };
    for _ in 0..=random.below(3) {
        let donor = parse_all(other, 0).unwrap_or_default();
        change(&mut elements, &donor, random);
    }
    let mut octets = Vec::new();
    for element in &elements {
        element.write(&mut octets);
    }
    if random.once_in(10) {
        bytes::mutate(&mut octets, other, random);
    }
    octets
}

fn change(elements: &mut Vec<Element>, donor: &[Element], random: &mut Random) {
    if elements.is_empty() {
        return;
    }
    let at = random.below(elements.len());
    if let Inner::Elements(inner) = &mut elements[at].inner
        && !random.once_in(5)
    {
        return change(inner, donor, random);
    }
    match random.below(12) {
        0 => drop(elements.remove(at)),
        1 => {
            let again = elements[at].clone();
            let times = if random.once_in(60) { 300 } else { 1 };
            elements.extend(std::iter::repeat_n(again, times));
        }
        2 => {
            let to = random.below(elements.len());
            elements.swap(at, to);
        }
        3 => {
            const TAGS: [u8; 22] = [
                0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0a, 0x0c, 0x13, 0x16, 0x17, 0x18, 0x1e, 0x30,
                0x31, 0x80, 0x81, 0x82, 0x86, 0x87, 0xa0, 0xa3,
            ];
            elements[at].tag = *random.pick(&TAGS);
        }
        4 => {
            if let Some(piece) = somewhere(donor, random) {
                elements[at] = piece.clone();
            }
        }
        5 => {
            let depth = if random.once_in(40) { 3000 } else { 2 };
            let inner = elements[at].clone();
            let mut octets = Vec::new();
            inner.write(&mut octets);
            for _ in 0..depth {
                octets = encode(0x30, &octets);
            }
            elements[at] = Element {
                tag: 0xa0,
                prefix: Vec::new(),
                inner: Inner::Octets(octets),
            };
        }
        6 => elements[at].inner = Inner::Octets(Vec::new()),
        7 => elements[at].prefix = (0..random.below(3)).map(|_| random.byte()).collect(),
        _ => {
            let mut octets = Vec::new();
            elements[at].inner.write(&mut octets);
            bytes::mutate(&mut octets, &[random.byte(), 0xff, 0], random);
            elements[at].inner = Inner::Octets(octets);
        }
    }
}

fn somewhere<'a>(elements: &'a [Element], random: &mut Random) -> Option<&'a Element> {
    let element = elements.get(random.below(elements.len()))?;
    match &element.inner {
        Inner::Elements(inner) if !inner.is_empty() && !random.once_in(4) => {
            somewhere(inner, random)
        }
        Inner::Elements(_) | Inner::Octets(_) => Some(element),
    }
}

impl Element {
    fn write(&self, out: &mut Vec<u8>) {
        let mut contents = self.prefix.clone();
        self.inner.write(&mut contents);
        out.extend(encode(self.tag, &contents));
    }
}

impl Inner {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Octets(octets) => out.extend_from_slice(octets),
            Self::Elements(elements) => elements.iter().for_each(|element| element.write(out)),
        }
    }
}

/// A DER element of these contents.
pub fn encode(tag: u8, contents: &[u8]) -> Vec<u8> {
    let length = contents.len();
    let mut out = vec![tag];
    if let Some(short) = u8::try_from(length).ok().filter(|short| *short < 0x80) {
        out.push(short);
    } else {
        let octets = length.to_be_bytes();
        let first = octets.iter().take_while(|octet| **octet == 0).count();
        out.push(0x80 | u8::try_from(octets.len() - first).expect("at most eight"));
        out.extend_from_slice(&octets[first..]);
    }
    out.extend_from_slice(contents);
    out
}

fn parse_all(mut der: &[u8], depth: usize) -> Option<Vec<Element>> {
    let mut elements = Vec::new();
    while !der.is_empty() {
        let (element, rest) = parse(der, depth)?;
        elements.push(element);
        der = rest;
    }
    Some(elements)
}

fn parse(der: &[u8], depth: usize) -> Option<(Element, &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if octets.len() > 4 {
            return None;
        }
        let length = octets
            .iter()
            .fold(0, |length, octet| length << 8 | usize::from(*octet));
        (length, rest)
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    let prefix = usize::from(tag == 0x03 && !contents.is_empty());
    let nested = (tag & 0x20 != 0 || tag == 0x03 || tag == 0x04)
        .then(|| contents.get(prefix..))
        .flatten()
        .filter(|inner| !inner.is_empty() && depth < MAX_DEPTH)
        .and_then(|inner| parse_all(inner, depth + 1));
    let element = match nested {
        Some(elements) => Element {
            tag,
            prefix: contents[..prefix].to_vec(),
            inner: Inner::Elements(elements),
        },
        None => Element {
            tag,
            prefix: Vec::new(),
            inner: Inner::Octets(contents.to_vec()),
        },
    };
    Some((element, rest))
}
