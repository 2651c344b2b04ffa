//! What keeps the authority honest with itself: the audit trail, the high-water mark, backups, the inventory, pruning.

mod audit;
mod faults;
mod high_water;
mod inventory;
mod prune;
mod restore;
