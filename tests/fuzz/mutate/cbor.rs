//! Changes to CBOR (RFC 8949) of definite lengths, which keep counts and lengths right; the DER within is changed as DER.

use super::{bytes, der};
use crate::fuzz::random::Random;

/// An item: its major type and its argument or contents. Of maps, keys and values by turns.
#[derive(Clone)]
enum Item {
    Number(u8, u64),
    Octets(u8, Vec<u8>),
    Items(u8, Vec<Item>),
}

/// CBOR with some changes; now and then the octets themselves.
pub fn mutate(octets: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let parsed = parse(octets, 0).filter(|(_, rest)| rest.is_empty() && !random.once_in(5));
    let Some((mut item, _)) = parsed else {
        let mut octets = octets.to_vec();
        bytes::mutate(&mut octets, other, random);
        return octets;
    };
    for _ in 0..=random.below(2) {
        change(&mut item, other, random);
    }
    let mut out = Vec::new();
    item.write(&mut out);
    if random.once_in(30) {
        let deep = 1 + random.below(20_000);
        out = [
            vec![*random.pick(&[0x81, 0xc1, 0xa1, 0x9f, 0xbf]); deep],
            out,
        ]
        .concat();
    }
    out
}

fn change(item: &mut Item, other: &[u8], random: &mut Random) {
    match item {
        Item::Items(_, items) if !items.is_empty() => {
            let at = random.below(items.len());
            match random.below(14) {
                0 => drop(items.remove(at)),
                1 => {
                    let again = items[at].clone();
                    let times = if random.once_in(50) { 1000 } else { 1 };
                    items.extend(std::iter::repeat_n(again, times));
                }
                2 => {
                    let to = random.below(items.len());
                    items.swap(at, to);
                }
                3 => items[at] = Item::Number(random.byte() & 7, random.next() >> random.below(64)),
                _ => change(&mut items[at], other, random),
            }
        }
        Item::Items(..) => *item = Item::Number(0, 0),
        Item::Octets(kind, octets) => {
            if random.once_in(12) {
                *kind ^= 1;
            }
            if octets.first() == Some(&0x30) && random.once_in(2) {
                *octets = der::mutate(octets, other, random);
            } else {
                bytes::mutate(octets, other, random);
            }
        }
        Item::Number(kind, number) => match random.below(3) {
            0 => *number ^= 1 << random.below(64),
            1 => *number = random.next() >> random.below(64),
            _ => *kind = random.byte() & 7,
        },
    }
}

impl Item {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Number(kind, number) => head(*kind, *number, out),
            Self::Octets(kind, octets) => {
                head(*kind, octets.len() as u64, out);
                out.extend_from_slice(octets);
            }
            Self::Items(kind, items) => {
                let each = if *kind == 5 { 2 } else { 1 };
                head(*kind, (items.len() / each) as u64, out);
                items.iter().for_each(|item| item.write(out));
            }
        }
    }
}

fn head(kind: u8, number: u64, out: &mut Vec<u8>) {
    let octets = number.to_be_bytes();
    let (short, length) = match number {
        0..24 => (octets[7], 0),
        24..0x100 => (24, 1),
        0x100..0x1_0000 => (25, 2),
        0x1_0000..0x1_0000_0000 => (26, 4),
        0x1_0000_0000.. => (27, 8),
    };
    out.push(kind << 5 | short);
    out.extend_from_slice(&octets[8 - length..]);
}

fn parse(octets: &[u8], depth: usize) -> Option<(Item, &[u8])> {
    let (first, rest) = octets.split_first()?;
    let kind = first >> 5;
    let (number, rest) = match first & 0x1f {
        short @ 0..24 => (u64::from(short), rest),
        long @ 24..28 => {
            let (argument, rest) = rest.split_at_checked(1 << (long - 24))?;
            let number = argument
                .iter()
                .fold(0, |number, octet| number << 8 | u64::from(*octet));
            (number, rest)
        }
        _ => return None,
    };
    let length = usize::try_from(number).ok()?;
    match kind {
        2 | 3 => {
            let (contents, rest) = rest.split_at_checked(length)?;
            Some((Item::Octets(kind, contents.to_vec()), rest))
        }
        4 | 5 if depth < 12 && length < 10_000 => {
            let count = if kind == 5 { 2 * length } else { length };
            let mut items = Vec::new();
            let mut rest = rest;
            for _ in 0..count {
                let (item, after) = parse(rest, depth + 1)?;
                items.push(item);
                rest = after;
            }
            Some((Item::Items(kind, items), rest))
        }
        _ => Some((Item::Number(kind, number), rest)),
    }
}
