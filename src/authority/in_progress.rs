//! Who is at work on what: one at a time for each key; others wait for their turn and then see what was done.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// One turn after the other for each key. A key that nobody works on costs nothing.
#[derive(Debug)]
pub struct InProgress<K> {
    turns: Mutex<HashMap<K, Arc<Turn<()>>>>,
}

impl<K> Default for InProgress<K> {
    fn default() -> Self {
        Self {
            turns: Mutex::default(),
        }
    }
}

impl<K: Eq + Hash + Clone> InProgress<K> {
    /// Waits for this key's turn; it ends when the guard is dropped.
    pub async fn turn(&self, key: &K) -> InProgressGuard<'_, K> {
        let turn = Arc::clone(self.turns.lock().entry(key.clone()).or_default());
        InProgressGuard {
            guard: Some(turn.lock_owned().await),
            key: key.clone(),
            all: self,
        }
    }
}

/// A key's turn.
#[derive(Debug)]
pub struct InProgressGuard<'a, K: Eq + Hash> {
    guard: Option<OwnedMutexGuard<()>>,
    key: K,
    all: &'a InProgress<K>,
}

impl<K: Eq + Hash> Drop for InProgressGuard<'_, K> {
    fn drop(&mut self) {
        let mut turns = self.all.turns.lock();
        self.guard = None;
        // Only the map holds it now: nobody waits. Who comes next holds the map's lock first, so none is lost.
        if turns
            .get(&self.key)
            .is_some_and(|turn| Arc::strong_count(turn) == 1)
        {
            turns.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn one_works_at_a_time_and_nothing_remains() {
        let all = Arc::new(InProgress::default());
        let at_work = Arc::new(AtomicU32::new(0));
        let mut tasks = Vec::new();
        for _ in 0..50 {
            let (all, at_work) = (Arc::clone(&all), Arc::clone(&at_work));
            tasks.push(tokio::spawn(async move {
                let _turn = all.turn(&7).await;
                assert_eq!(at_work.fetch_add(1, Ordering::SeqCst), 0);
                tokio::task::yield_now().await;
                at_work.fetch_sub(1, Ordering::SeqCst);
            }));
        }
        for task in tasks {
            task.await.expect("no panic");
        }
        assert!(all.turns.lock().is_empty());
    }
}
