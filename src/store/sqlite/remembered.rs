//! Records that are asked for with every request, in memory. What a command may have written is forgotten before its
//! caller hears of it, so nobody is told what was true before a change that they know of.

use std::hash::Hash;

use parking_lot::Mutex;

use crate::domain::Recent;

/// Records by their key.
#[derive(Debug)]
pub(super) struct Remembered<K, V>(Mutex<Inner<K, V>>);

#[derive(Debug)]
struct Inner<K, V> {
    recent: Recent<K, V>,
    /// How often something was forgotten.
    forgotten: u64,
}

impl<K: Eq + Hash + Clone, V: Clone> Remembered<K, V> {
    pub(super) fn new(capacity: usize) -> Self {
        Self(Mutex::new(Inner {
            recent: Recent::new(capacity),
            forgotten: 0,
        }))
    }

    /// A record from memory, else from the store. What was read is remembered only if nothing was forgotten meanwhile: it
    /// may have been read before the change and come here after it.
    pub(super) fn get_or<E>(
        &self,
        key: &K,
        read: impl FnOnce() -> Result<Option<V>, E>,
    ) -> Result<Option<V>, E> {
        let forgotten = {
            let mut inner = self.0.lock();
            if let Some(value) = inner.recent.get(key) {
                return Ok(Some(value));
            }
            inner.forgotten
        };
        let found = read()?;
        if let Some(value) = &found {
            let mut inner = self.0.lock();
            if inner.forgotten == forgotten {
                inner.recent.insert(key.clone(), value.clone());
            }
        }
        Ok(found)
    }

    pub(super) fn forget(&self, keys: &[K]) {
        if keys.is_empty() {
            return;
        }
        let mut inner = self.0.lock();
        inner.forgotten += 1;
        for key in keys {
            inner.recent.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_once_and_again_after_a_change() {
        let remembered = Remembered::new(8);
        let read = |value: &'static str| remembered.get_or(&1, || Ok::<_, ()>(Some(value)));
        assert_eq!(read("before"), Ok(Some("before")));
        assert_eq!(read("not read"), Ok(Some("before")));
        remembered.forget(&[1]);
        assert_eq!(read("after"), Ok(Some("after")));
    }

    #[test]
    fn what_was_read_before_a_change_is_not_remembered_after_it() {
        let remembered = Remembered::new(8);
        let found = remembered.get_or(&1, || {
            remembered.forget(&[1]);
            Ok::<_, ()>(Some("before"))
        });
        assert_eq!(found, Ok(Some("before")));
        assert_eq!(
            remembered.get_or(&1, || Ok::<_, ()>(Some("after"))),
            Ok(Some("after"))
        );
    }
}
