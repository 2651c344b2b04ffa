//! RSA moduli of the family ROCA (CVE-2017-15361): chips and TPMs of one vendor made their primes as `k·M + 65537^a mod M`,
//! and such a modulus can be factored. Only the modulus is looked at.

/// Small primes that divide `M`, and modulo which the powers of 65537 are a small part of all numbers. Together they take
/// an honest modulus for one of the family once in about 2^27.
const PRIMES: [u64; 17] = [
    11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157,
];

/// Whether a modulus, big-endian, is of the family: modulo each of the primes it is a power of 65537, which the product of
/// two such primes always is.
pub(super) fn is_roca(modulus: &[u8]) -> bool {
    PRIMES
        .iter()
        .all(|prime| is_power_of_65537(remainder(modulus, *prime), *prime))
}

fn remainder(modulus: &[u8], prime: u64) -> u64 {
    modulus
        .iter()
        .fold(0, |rest, octet| (rest << 8 | u64::from(*octet)) % prime)
}

fn is_power_of_65537(number: u64, prime: u64) -> bool {
    let generator = 65_537 % prime;
    let mut power = 1;
    loop {
        if power == number {
            return true;
        }
        power = power * generator % prime;
        if power == 1 {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_a_power_of_65537_modulo_every_prime_is_of_the_family_and_nothing_else() {
        // 65537^n for whatever n is one modulo any prime.
        let mut power = vec![1_u8];
        for _ in 0..120 {
            // times 65537 = 2^16 + 1
            let mut product = power.clone();
            product.extend([0, 0]);
            let mut carry = 0;
            for (place, octet) in power.iter().rev().enumerate() {
                let at = product.len() - 1 - place;
                let sum = u16::from(product[at]) + u16::from(*octet) + carry;
                product[at] = sum.to_be_bytes()[1];
                carry = sum >> 8;
            }
            let mut at = product.len() - 1 - power.len();
            while carry > 0 {
                let sum = u16::from(product[at]) + carry;
                product[at] = sum.to_be_bytes()[1];
                carry = sum >> 8;
                at = at.saturating_sub(1);
            }
            power = product;
            assert!(is_roca(&power));
        }
        *power.last_mut().expect("octets") ^= 6;
        assert!(!is_roca(&power));
    }

    #[test]
    fn honest_moduli_are_not_of_the_family() {
        for _ in 0..4 {
            let pair =
                rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048)
                    .expect("a key");
            let key = super::super::PublicKey::from_subject_public_key_info(
                &rcgen::PublicKeyData::subject_public_key_info(&pair),
            )
            .expect("a good key");
            assert!(!is_roca(key.rsa().expect("RSA").0));
        }
    }
}
