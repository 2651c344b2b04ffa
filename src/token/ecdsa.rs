//! ECDSA signatures: a token gives r and s side by side, certificates want DER (RFC 3279 section 2.2.3).

use super::public_key::tagged;

/// Ecdsa-Sig-Value of a token's signature over a curve with scalars of `size` octets. None where it isn't one.
pub(super) fn to_der(signature: &[u8], size: usize) -> Option<Vec<u8>> {
    if signature.len() != 2 * size {
        return None;
    }
    let (r, s) = signature.split_at(size);
    Some(tagged(0x30, &[integer(r)?, integer(s)?].concat()))
}

/// A positive INTEGER in its shortest form; zero is no part of a signature.
fn integer(big_endian: &[u8]) -> Option<Vec<u8>> {
    let zeros = big_endian.iter().take_while(|octet| **octet == 0).count();
    let significant = &big_endian[zeros..];
    let first = significant.first()?;
    Some(if *first < 0x80 {
        tagged(0x02, significant)
    } else {
        // Else it would be negative.
        tagged(0x02, &[&[0], significant].concat())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_signatures_become_the_shortest_der() {
        let raw = |r: &[u8], s: &[u8]| {
            let pad = |it: &[u8]| [vec![0; 4 - it.len()], it.to_vec()].concat();
            [pad(r), pad(s)].concat()
        };
        for (r, s, wanted) in [
            (&[1][..], &[2][..], &[0x30, 6, 2, 1, 1, 2, 1, 2][..]),
            (&[0x80], &[0x7f], &[0x30, 7, 2, 2, 0, 0x80, 2, 1, 0x7f]),
            (
                &[0xff, 0, 0, 1],
                &[1, 0, 0, 0],
                &[0x30, 13, 2, 5, 0, 0xff, 0, 0, 1, 2, 4, 1, 0, 0, 0],
            ),
        ] {
            assert_eq!(
                to_der(&raw(r, s), 4).as_deref(),
                Some(wanted),
                "{r:?} {s:?}"
            );
        }
        assert_eq!(to_der(&raw(&[0], &[1]), 4), None);
        assert_eq!(to_der(&[1; 7], 4), None);
        assert_eq!(to_der(&[], 4), None);
    }
}
