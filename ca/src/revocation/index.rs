//! The index of revoked serials of one issuer: small, and quick to look up in. It does not know who revoked what when.

use std::collections::HashMap;

use super::RevocationReason;
use crate::serial::Serial;

/// The revoked serials of one issuer, with their reasons.
///
/// A sorted array of 21 octets an entry (1,000,000 entries are 21 MB) and a small map of what came since; the map is
/// merged into the array when it has grown to a 64th of it. Entries are sorted from their last octet on, which differs
/// most whether a CA's serials are random or count up, and a table of the last two octets leads to the right few.
#[derive(Debug, Clone, Default)]
pub struct RevocationIndex {
    base: Vec<Entry>,
    /// Where in `base` the entries with each last two octets begin, and at the end its length; nothing while `base` is
    /// small.
    starts: Vec<u32>,
    overlay: HashMap<Serial, RevocationReason>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// The serial's octets from the last to the first.
    key: [u8; Serial::WIDTH],
    reason: RevocationReason,
}

/// From how many entries on the table pays.
const TABLE_FROM: usize = 4096;
/// How many entries the overlay may have at least before it is merged.
const OVERLAY_AT_LEAST: usize = 1024;

impl RevocationIndex {
    /// Whether the serial was revoked.
    #[must_use]
    pub fn contains(&self, serial: &Serial) -> bool {
        self.reason(serial).is_some()
    }

    /// Why the serial was revoked, if it was.
    #[must_use]
    pub fn reason(&self, serial: &Serial) -> Option<RevocationReason> {
        if !self.overlay.is_empty()
            && let Some(reason) = self.overlay.get(serial)
        {
            return Some(*reason);
        }
        let index = self.position(&key(serial)).ok()?;
        self.base.get(index).map(|entry| entry.reason)
    }

    /// Adds a serial, or changes its reason. Returns whether it is new. For many at once, [`Extend`] is quicker.
    pub fn insert(&mut self, serial: Serial, reason: RevocationReason) -> bool {
        if let Ok(index) = self.position(&key(&serial)) {
            self.base[index].reason = reason;
            return false;
        }
        let is_new = self.overlay.insert(serial, reason).is_none();
        if self.overlay.len() > OVERLAY_AT_LEAST.max(self.base.len() / 64) {
            self.merge();
        }
        is_new
    }

    /// Keeps only the serials for which `keep` says so: expired certificates leave the index that way.
    pub fn retain(&mut self, mut keep: impl FnMut(&Serial, RevocationReason) -> bool) {
        self.overlay.retain(|serial, reason| keep(serial, *reason));
        self.base
            .retain(|entry| serial(&entry.key).is_some_and(|serial| keep(&serial, entry.reason)));
        self.rebuild_table();
    }

    /// How many serials there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.base.len() + self.overlay.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Every serial with its reason, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (Serial, RevocationReason)> {
        self.base
            .iter()
            .filter_map(|entry| Some((serial(&entry.key)?, entry.reason)))
            .chain(
                self.overlay
                    .iter()
                    .map(|(serial, reason)| (*serial, *reason)),
            )
    }

    fn position(&self, key: &[u8; Serial::WIDTH]) -> Result<usize, usize> {
        let (start, end) = match self.starts.get(bucket(key)..bucket(key) + 2) {
            Some([start, end]) => (*start as usize, *end as usize),
            Some(_) | None => (0, self.base.len()),
        };
        self.base[start..end]
            .binary_search_by(|entry| entry.key.cmp(key))
            .map(|index| start + index)
            .map_err(|index| start + index)
    }

    /// Merges the overlay into the base, from the end, in place.
    fn merge(&mut self) {
        let mut added: Vec<Entry> = self
            .overlay
            .drain()
            .map(|(serial, reason)| Entry {
                key: key(&serial),
                reason,
            })
            .collect();
        added.sort_unstable_by_key(|entry| entry.key);
        let mut left = self.base.len();
        self.base.extend_from_slice(&added);
        let mut write = self.base.len();
        while let Some(last) = added.last() {
            write -= 1;
            if left > 0 && self.base[left - 1].key > last.key {
                left -= 1;
                self.base[write] = self.base[left];
            } else {
                self.base[write] = *last;
                added.pop();
            }
        }
        self.rebuild_table();
    }

    fn rebuild_table(&mut self) {
        self.starts.clear();
        let Ok(length) = u32::try_from(self.base.len()) else {
            return;
        };
        if self.base.len() < TABLE_FROM {
            return;
        }
        self.starts.reserve_exact((1 << 16) + 1);
        for (index, entry) in (0..length).zip(&self.base) {
            // The first entry of a bucket begins it, and every empty one before it.
            while self.starts.len() <= bucket(&entry.key) {
                self.starts.push(index);
            }
        }
        self.starts.resize((1 << 16) + 1, length);
    }
}

impl Extend<(Serial, RevocationReason)> for RevocationIndex {
    fn extend<T: IntoIterator<Item = (Serial, RevocationReason)>>(&mut self, entries: T) {
        let entries = entries.into_iter();
        if self.is_empty() {
            // A list as it is loaded: no map in between.
            self.base = entries
                .map(|(serial, reason)| Entry {
                    key: key(&serial),
                    reason,
                })
                .collect();
            self.base.sort_unstable_by_key(|entry| entry.key);
            self.base.dedup_by_key(|entry| entry.key);
            self.base.shrink_to_fit();
            self.rebuild_table();
            return;
        }
        for (serial, reason) in entries {
            match self.position(&key(&serial)) {
                Ok(index) => self.base[index].reason = reason,
                Err(_) => {
                    self.overlay.insert(serial, reason);
                }
            }
        }
        self.merge();
    }
}

impl FromIterator<(Serial, RevocationReason)> for RevocationIndex {
    fn from_iter<T: IntoIterator<Item = (Serial, RevocationReason)>>(entries: T) -> Self {
        let mut index = Self::default();
        index.extend(entries);
        index
    }
}

fn key(serial: &Serial) -> [u8; Serial::WIDTH] {
    let mut key = [0; Serial::WIDTH];
    for (to, from) in key.iter_mut().zip(serial.significant_octets().iter().rev()) {
        *to = *from;
    }
    key
}

fn serial(key: &[u8; Serial::WIDTH]) -> Option<Serial> {
    let mut octets = *key;
    octets.reverse();
    Serial::from_der_integer(&octets).ok()
}

fn bucket(key: &[u8; Serial::WIDTH]) -> usize {
    usize::from(u16::from_be_bytes([key[0], key[1]]))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn number(value: u128) -> Serial {
        Serial::from_der_integer(&value.to_be_bytes()).expect("not zero")
    }

    fn reason(code: u8) -> RevocationReason {
        RevocationReason::ALL[usize::from(code) % RevocationReason::ALL.len()]
    }

    fn assert_same(index: &RevocationIndex, model: &BTreeMap<Serial, RevocationReason>) {
        assert_eq!(index.len(), model.len());
        assert_eq!(index.iter().collect::<BTreeMap<_, _>>(), *model);
        for (serial, reason) in model {
            assert_eq!(index.reason(serial), Some(*reason), "{serial}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn it_holds_what_a_plain_map_holds(
            loaded in prop::collection::vec((1_u128..9000, any::<u8>()), 0..6000),
            inserted in prop::collection::vec((1_u128..20_000, any::<u8>()), 0..3000),
            bulk in prop::collection::vec((any::<u128>(), any::<u8>()), 0..500),
            probes in prop::collection::vec(1_u128..20_000, 200),
        ) {
            let loaded: BTreeMap<_, _> =
                loaded.into_iter().map(|(n, code)| (number(n), reason(code))).collect();
            let mut index: RevocationIndex = loaded.clone().into_iter().collect();
            let mut model = loaded;
            for (n, code) in inserted {
                let is_new = model.insert(number(n), reason(code)).is_none();
                prop_assert_eq!(index.insert(number(n), reason(code)), is_new);
            }
            assert_same(&index, &model);
            let bulk: BTreeMap<_, _> = bulk
                .into_iter()
                .map(|(n, code)| (number(n.max(1)), reason(code)))
                .collect();
            index.extend(bulk.clone());
            model.extend(bulk);
            assert_same(&index, &model);
            for probe in probes {
                let serial = number(probe);
                prop_assert_eq!(index.contains(&serial), model.contains_key(&serial));
            }
            index.retain(|serial, _| serial.significant_octets().last().is_some_and(|it| it % 2 == 0));
            model.retain(|serial, _| serial.significant_octets().last().is_some_and(|it| it % 2 == 0));
            assert_same(&index, &model);
        }
    }

    #[test]
    fn a_million_entries_take_less_than_32_mib_and_all_are_found() {
        let serials: Vec<Serial> = (0..1_000_000)
            .map(|_| Serial::random().expect("randomness"))
            .collect();
        let mut index: RevocationIndex = serials
            .iter()
            .map(|serial| (*serial, RevocationReason::Unspecified))
            .collect();
        let octets =
            index.base.capacity() * size_of::<Entry>() + index.starts.capacity() * size_of::<u32>();
        assert!(octets < 32 << 20, "{octets} octets");
        assert!(serials.iter().all(|serial| index.contains(serial)));
        let widest = index.starts.windows(2).map(|pair| pair[1] - pair[0]).max();
        assert!(widest < Some(100), "{widest:?} entries to search");
        let late = Serial::random().expect("randomness");
        assert!(!index.contains(&late));
        assert!(index.insert(late, RevocationReason::KeyCompromise));
        assert_eq!(index.reason(&late), Some(RevocationReason::KeyCompromise));
    }
}
