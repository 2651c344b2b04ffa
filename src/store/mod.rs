//! The store: what must survive. Looking up goes by one trait for each noun, which any room may use; writing by one
//! command for each use case, atomic, with its audit entry and trust event inside, which only `authority` uses.
//!
//! SQLite is the default; only `app` names it. To add a backend, implement [`Store`] and run `tests/store` on it.

use futures_util::future::BoxFuture;

mod command;
mod device;
mod enrolment;
mod error;
mod inventory;
mod look_up;
mod reconcile;
mod renewal;
mod revocation;
pub mod sqlite;

pub use command::{ChangeAccountKey, ChangeIssuers, Commands, CompleteOrder, NewAccount, Pruned};
pub use device::Devices;
pub use enrolment::{InvitationQuery, RevokeInvitation, RevokedInvitation};
pub use error::StoreError;
pub use inventory::{
    InvalidCursor, InvalidSerialPrefix, Inventory, InventoryCursor, InventoryPage, InventoryQuery,
    Kin, SerialPrefix,
};
pub use look_up::{
    Accounts, ApiKeys, AuditQuery, AuditTrail, Authorizations, BundleReadiness, CertificateFilter,
    Certificates, Enrolments, Health, Invitations, Issuers, Lists, OrderPlace, Orders, OrdersPage,
    Policies, PolicyRevision, Revocations, Standings, StoreHealth, TrailHealth,
};
pub use renewal::{Reached, Renewals, Replacements};
pub use revocation::{
    CertificateStatusAnswer, LeaseList, ListHead, PublishedList, Revocable, RevocationEvent,
    RevocationQuery, RevokeCertificates, RevokedCertificates, RevokedOfShard, ShardState,
    StoredList, UnseenCertificate,
};

pub use reconcile::{FoundRevocation, ListCopy, Reconcile, Reconciled};

/// What a call of the store comes back as.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// Everything that a backend must be able to do.
pub trait Store:
    Accounts
    + ApiKeys
    + AuditTrail
    + Authorizations
    + Certificates
    + Commands
    + Devices
    + Enrolments
    + Health
    + Inventory
    + Invitations
    + Issuers
    + Lists
    + Orders
    + Policies
    + Renewals
    + Revocations
    + Standings
{
}
