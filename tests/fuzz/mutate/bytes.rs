//! Changes to bytes whose meaning isn't known.

use crate::fuzz::random::Random;

/// Bytes that are at the edge of something.
const EDGES: [u8; 16] = [
    0x00, 0x01, 0x7f, 0x80, 0x81, 0x82, 0x84, 0xff, 0x30, 0x31, 0x04, 0x03, b'"', b'\\', b'=', b'.',
];

/// A few changes; `other` is where foreign pieces come from.
pub fn mutate(octets: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    for _ in 0..=random.below(4) {
        once(octets, other, random);
    }
}

fn once(octets: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let length = octets.len();
    if length == 0 {
        octets.push(random.byte());
        return;
    }
    let at = random.below(length);
    let end = at + random.below((length - at).min(32) + 1);
    match random.below(12) {
        0 | 1 => octets[at] ^= 1 << random.below(8),
        2 | 3 => octets[at] = *random.pick(&EDGES),
        4 => octets[at] = random.byte(),
        5 => drop(octets.drain(at..end)),
        6 => octets.truncate(at),
        7 => {
            let piece = octets[at..end].to_vec();
            let to = random.below(length);
            octets.splice(to..to, piece);
        }
        8 => {
            let piece: Vec<u8> = (0..=random.below(8)).map(|_| random.byte()).collect();
            octets.splice(at..at, piece);
        }
        9 => {
            let from = random.below(other.len());
            let piece = other[from..(from + random.below(64)).min(other.len())].to_vec();
            octets.splice(at..end, piece);
        }
        10 => {
            let to = random.below(length);
            octets.swap(at, to);
        }
        _ => {
            // Once in a while much of the same: what is nested, or counted, too often.
            let times = if random.once_in(400) { 20_000 } else { 12 };
            let piece = octets[at..end.min(at + 4)].repeat(times);
            octets.splice(at..at, piece);
        }
    }
}
