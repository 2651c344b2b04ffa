//! The validity that an order asks for (RFC 8555 section 7.4): never more than what the profile gives.

use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;

/// `notBefore` and `notAfter` of an order; what is left out is the profile's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedValidity {
    /// Not before this moment.
    pub not_before: Option<Timestamp>,
    /// Not after this moment.
    pub not_after: Option<Timestamp>,
}

impl WantedValidity {
    /// Whether it lies within what the profile gives at a moment, `earliest` to `latest`.
    ///
    /// # Errors
    /// [`ValidityRefused`] with the bound that it breaks.
    pub fn check(
        self,
        earliest: Timestamp,
        latest: Timestamp,
        now: Timestamp,
    ) -> Result<(), ValidityRefused> {
        if let Some(not_after) = self.not_after.filter(|wanted| *wanted > latest) {
            return Err(ValidityRefused::TooLate { not_after, latest });
        }
        if let Some(not_before) = self.not_before.filter(|wanted| *wanted < earliest) {
            return Err(ValidityRefused::TooEarly {
                not_before,
                earliest,
            });
        }
        self.within(earliest, latest, now).map(drop)
    }

    /// What is left of it within what the profile gives when it is issued.
    ///
    /// # Errors
    /// [`ValidityRefused::Empty`] when that is nothing any more.
    pub fn within(
        self,
        earliest: Timestamp,
        latest: Timestamp,
        now: Timestamp,
    ) -> Result<(Timestamp, Timestamp), ValidityRefused> {
        let not_before = self
            .not_before
            .map_or(earliest, |wanted| wanted.max(earliest));
        let not_after = self.not_after.map_or(latest, |wanted| wanted.min(latest));
        if not_after <= now || not_after <= not_before {
            return Err(ValidityRefused::Empty);
        }
        Ok((not_before, not_after))
    }
}

/// A validity that can't be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValidityRefused {
    /// Beyond the profile's lifetime, or the issuer's.
    #[error(
        "\"notAfter\" is {not_after}; a certificate that is issued now ends at {latest}: ask for that or less, or leave it out"
    )]
    TooLate {
        /// What was asked for.
        not_after: Timestamp,
        /// What could be had.
        latest: Timestamp,
    },
    /// Before what the profile backdates to.
    #[error(
        "\"notBefore\" is {not_before}; a certificate that is issued now begins at {earliest}: ask for that or later, or leave it out"
    )]
    TooEarly {
        /// What was asked for.
        not_before: Timestamp,
        /// What could be had.
        earliest: Timestamp,
    },
    /// There is no moment in it that is still to come.
    #[error(
        "the certificate would have ended before it could be used; ask for a later \"notAfter\", or leave \"notBefore\" and \"notAfter\" out"
    )]
    Empty,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_lies_within_what_the_profile_gives() {
        let at = Timestamp::from_unix_seconds;
        let wanted = |not_before: Option<i64>, not_after: Option<i64>| WantedValidity {
            not_before: not_before.map(at),
            not_after: not_after.map(at),
        };
        // The profile gives 100 to 200, and it is 110.
        let (not_before, not_after) = (at(90), at(201));
        for (wanted, expected) in [
            (wanted(None, None), Ok(())),
            (wanted(Some(100), Some(200)), Ok(())),
            (wanted(Some(150), None), Ok(())),
            (wanted(None, Some(111)), Ok(())),
            (
                wanted(Some(90), None),
                Err(ValidityRefused::TooEarly {
                    not_before,
                    earliest: at(100),
                }),
            ),
            (
                wanted(None, Some(201)),
                Err(ValidityRefused::TooLate {
                    not_after,
                    latest: at(200),
                }),
            ),
            (wanted(None, Some(110)), Err(ValidityRefused::Empty)),
            (wanted(Some(150), Some(150)), Err(ValidityRefused::Empty)),
            (wanted(Some(200), None), Err(ValidityRefused::Empty)),
        ] {
            assert_eq!(
                wanted.check(at(100), at(200), at(110)),
                expected,
                "{wanted:?}"
            );
        }
    }

    #[test]
    fn what_has_passed_when_it_is_issued_is_cut_off() {
        let at = Timestamp::from_unix_seconds;
        let wanted = WantedValidity {
            not_before: Some(at(100)),
            not_after: Some(at(180)),
        };
        assert_eq!(
            wanted.within(at(140), at(240), at(150)),
            Ok((at(140), at(180)))
        );
        assert_eq!(
            wanted.within(at(140), at(160), at(150)),
            Ok((at(140), at(160)))
        );
        assert_eq!(
            wanted.within(at(170), at(270), at(180)),
            Err(ValidityRefused::Empty)
        );
    }
}
