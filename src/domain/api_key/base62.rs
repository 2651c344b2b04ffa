//! Base62 numbers of a fixed width, and the CRC-32 of ISO 3309. Private to API keys.

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Writes the big-endian `number` in base62, most significant digit first, into the whole of `text`; what doesn't fit
/// is cut at the top. The alphabet is indexed by the digit, so this is not for comparing secrets.
pub(super) fn digits(number: &[u8], text: &mut [u8]) {
    let mut number = zeroize::Zeroizing::new(number.to_vec());
    for character in text.iter_mut().rev() {
        let mut remainder = 0_u32;
        for byte in number.iter_mut() {
            let value = remainder << 8 | u32::from(*byte);
            *byte = low_byte(value / 62);
            remainder = value % 62;
        }
        *character = ALPHABET[remainder as usize];
    }
}

/// Reads a base62 number of `N` bytes; `None` for another character or a number that is too large.
pub(super) fn number<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut number = [0; N];
    for character in text.bytes() {
        let mut carry = match character {
            b'0'..=b'9' => u32::from(character - b'0'),
            b'A'..=b'Z' => u32::from(character - b'A') + 10,
            b'a'..=b'z' => u32::from(character - b'a') + 36,
            _ => return None,
        };
        for byte in number.iter_mut().rev() {
            let value = u32::from(*byte) * 62 + carry;
            *byte = low_byte(value);
            carry = value >> 8;
        }
        if carry != 0 {
            return None;
        }
    }
    Some(number)
}

const fn low_byte(value: u32) -> u8 {
    value.to_be_bytes()[3]
}

/// The CRC-32 of ISO 3309 (RFC 1952 section 8): every change within 32 bits in a row is caught, so every change of
/// one character.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let low = crc & 1;
            crc >>= 1;
            if low == 1 {
                crc ^= 0xEDB8_8320;
            }
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn numbers_round_trip_and_too_large_ones_are_refused() {
        for value in [0_u32, 1, 61, 62, u32::MAX] {
            let mut text = [0; 6];
            digits(&value.to_be_bytes(), &mut text);
            let text = std::str::from_utf8(&text).expect("base62 is ASCII");
            assert_eq!(number::<4>(text), Some(value.to_be_bytes()), "{text}");
        }
        let mut text = [0; 43];
        digits(&[0xff; 32], &mut text);
        let text = std::str::from_utf8(&text).expect("base62 is ASCII");
        assert_eq!(number::<32>(text), Some([0xff; 32]));
        assert_eq!(number::<32>(&"z".repeat(43)), None);
        assert_eq!(number::<4>("zzzzzz"), None);
        assert_eq!(number::<4>("00000_"), None);
    }
}
