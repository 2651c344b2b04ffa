//! How the agent writes a moment: RFC 3339, in UTC, to the second.

use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

/// `moment` as in `2027-01-01T00:00:00Z`.
#[must_use]
pub fn rfc3339(moment: OffsetDateTime) -> String {
    let moment = moment.to_offset(UtcOffset::UTC);
    // Only a year past 9999 can't be written so.
    moment
        .truncate_to_second()
        .format(&Rfc3339)
        .unwrap_or_else(|_| moment.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    #[test]
    fn a_moment_is_written_in_utc_to_the_second() {
        assert_eq!(
            rfc3339(datetime!(2027-01-01 01:59:59.9 +2)),
            "2026-12-31T23:59:59Z"
        );
    }
}
