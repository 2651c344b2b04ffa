//! `portcullis restore --reconcile`: finds the lists that were published, where the certificates say or where somebody
//! has copies, and brings the store up to them. Only then is the block taken away.

use std::{
    fs,
    os::unix::{fs::MetadataExt, net::UnixStream},
    path::{Path, PathBuf},
};

use super::{
    KeepingError, RESTORED_FILE, STORE_FILE, ServeError, Settings, StateDir, StateError,
    backup::sync_dir,
    fetch::fetch,
    high_water::{MarkFileError, check_mark, find_mark, move_mark, read_mark},
    read_settings,
    restore::Restored,
};
use crate::{
    authority::{FoundList, Known, Missing, Secrets, list_url, missing, reconcile},
    domain::{
        Principal, Timestamp,
        audit::Actor,
        high_water::{HighWaterMark, WaterLevel},
        issuer::{IssuerRecord, IssuerState},
    },
    store::{AuditTrail, Issuers, Reconciled, sqlite::SqliteStore},
};

/// What is to be reconciled with.
#[derive(Debug, Default)]
pub struct Sources {
    /// Files and directories with lists, and URLs: of a list, or in place of `public_url`. Without any, the lists are
    /// fetched from where certificates say that they are.
    pub lists: Vec<String>,
    /// Epochs that gates have seen.
    pub epochs: Vec<u64>,
    /// High-water marks of the disk that was lost.
    pub marks: Vec<PathBuf>,
    /// Lists may be missing, and somebody takes that on themselves.
    pub overridden: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Reconciliation {
    /// What the store took over.
    pub taken: Reconciled,
    /// The lists that were read: where, whose, which shard, which number.
    pub read: Vec<String>,
    /// What could not be read, and why.
    pub unread: Vec<String>,
    /// The lists that were not found, and that somebody took on themselves.
    pub missing: Vec<String>,
    /// When the backup was made, if it was one: what happened since and is on no list is lost.
    pub made_at: Option<Timestamp>,
}

/// Reconciles a state directory that was restored, or whose database was rolled back.
///
/// # Errors
/// [`ServeError`]: there is nothing to reconcile, the server runs, or lists are missing. Nothing is changed then.
pub async fn reconcile_state(
    state: &StateDir,
    sources: &Sources,
    now: Timestamp,
) -> Result<Reconciliation, ServeError> {
    let settings = read_settings(state)?;
    if UnixStream::connect(&settings.admin_socket).is_ok() {
        return Err(KeepingError::Running(settings.admin_socket).into());
    }
    let path = state.file(STORE_FILE);
    if !path.exists() {
        return Err(ServeError::StoreMissing(path));
    }
    let secrets = Secrets::from_seed(&*state.seed()?);
    let store = SqliteStore::open(&path)?;
    let database = store.water_level().await?;
    let restored = restored(state)?;
    let mut marks = Vec::new();
    let own = find_mark(state, &settings.store.high_water_mark, &secrets.mark_key);
    if restored.is_none() && is_up_to_date(&settings, &store, &database, &own).await? {
        return Err(KeepingError::NothingToReconcile.into());
    }
    // That of the backup itself says nothing about what came after it.
    marks.extend(own.ok().flatten().map(|mark| mark.level));
    for file in &sources.marks {
        let mark = read_mark(file, &secrets.mark_key)?
            .ok_or_else(|| KeepingError::NoMark(file.to_owned()))?;
        marks.push(mark.level);
    }
    marks.retain(|mark| *mark != database);
    let issuers = store.issuers().await?;
    let (lists, unread) = find_lists(&settings, &issuers, sources).await;
    let known = Known {
        marks,
        epochs: sources.epochs.clone(),
        overridden: sources.overridden,
    };
    let lost = missing(&database, &issuers, &known, &lists, now);
    let names = |lost: &[Missing]| -> Vec<String> {
        lost.iter().map(|lost| name(lost, &issuers)).collect()
    };
    if !lost.is_empty() && !sources.overridden {
        return Err(KeepingError::ListsMissing {
            missing: names(&lost).join("\n  "),
            unread: unread.join("\n  "),
            trust_domain: settings.trust_domain.to_string(),
        }
        .into());
    }
    let read = lists
        .iter()
        .map(|found| {
            let list = &found.list;
            format!(
                "list {} of {}, number {}, {} entries, from {}",
                list.shard,
                issuer_name(&issuers, list),
                list.number,
                found.entries.len(),
                found.place
            )
        })
        .collect();
    let taken = reconcile(&store, operator()?, lists, &known, now).await?;
    let mark = HighWaterMark {
        at: now,
        level: store.water_level().await?,
    };
    let mark_path = &settings.store.high_water_mark;
    move_mark(state, mark_path, &secrets.mark_key, &mark)?;
    unblock(state)?;
    Ok(Reconciliation {
        taken,
        read,
        unread,
        missing: names(&lost),
        made_at: restored.map(|restored| restored.made_at),
    })
}

fn issuer_name(issuers: &[IssuerRecord], list: &crate::store::ListCopy) -> String {
    issuers
        .iter()
        .find(|issuer| issuer.id == list.issuer)
        .map_or_else(|| list.issuer.short(), |issuer| issuer.name.to_string())
}

fn name(lost: &Missing, issuers: &[IssuerRecord]) -> String {
    let issuer = issuers
        .iter()
        .find(|issuer| issuer.id == lost.issuer)
        .map_or_else(|| lost.issuer.short(), |issuer| issuer.name.to_string());
    let found = lost
        .found
        .map_or_else(|| "none".to_owned(), |number| number.to_string());
    let overdue = lost.overdue_since.map_or_else(String::new, |since| {
        format!(
            ", overdue since {since}: a younger one may have been published; a high-water mark of the lost disk would tell \
             (--mark FILE)"
        )
    });
    format!(
        "list {} of {issuer}: number {} was published, found: {found}{overdue}",
        lost.shard, lost.at_least
    )
}

async fn is_up_to_date(
    settings: &Settings,
    store: &SqliteStore,
    database: &WaterLevel,
    mark: &Result<Option<HighWaterMark>, MarkFileError>,
) -> Result<bool, ServeError> {
    let Ok(Some(mark)) = mark else {
        return Ok(false);
    };
    let hash = store.audit_hash(mark.level.audit_number).await?;
    let path = &settings.store.high_water_mark;
    Ok(check_mark(path, &settings.trust_domain, Some(mark), database, hash).is_ok())
}

/// Nothing is started on what was restored and not yet reconciled.
pub(super) fn refuse_restored(state: &StateDir) -> Result<(), ServeError> {
    match restored(state)? {
        None => Ok(()),
        Some(restored) => Err(KeepingError::Restored {
            directory: state.path().to_owned(),
            made_at: restored.made_at,
        }
        .into()),
    }
}

/// Why a state directory is blocked, if it is.
pub(super) fn restored(state: &StateDir) -> Result<Option<Restored>, ServeError> {
    let path = state.file(RESTORED_FILE);
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read(&path).map_err(|error| StateError::Io {
        path: path.clone(),
        error,
    })?;
    serde_json::from_slice(&text).map(Some).map_err(|_| {
        ServeError::State(StateError::Damaged {
            path,
            what: "it says that this directory was restored, but not when; make it anew with: portcullis restore",
        })
    })
}

fn unblock(state: &StateDir) -> Result<(), ServeError> {
    let path = state.file(RESTORED_FILE);
    if path.exists() {
        fs::remove_file(&path).map_err(|error| StateError::Io { path, error })?;
    }
    sync_dir(state.path())
}

/// Who runs this process.
fn operator() -> Result<Actor, ServeError> {
    let path = Path::new("/proc/self");
    let metadata = fs::metadata(path).map_err(|error| StateError::Io {
        path: path.to_owned(),
        error,
    })?;
    Ok(Actor::Principal(Principal::local_user(metadata.uid())))
}

/// Reads every list that can be had, and says of the rest why not.
async fn find_lists(
    settings: &Settings,
    issuers: &[IssuerRecord],
    sources: &Sources,
) -> (Vec<FoundList>, Vec<String>) {
    let (mut found, mut unread) = (Vec::new(), Vec::new());
    let mut take = |place: String, octets: Result<Vec<u8>, String>| match octets
        .and_then(|octets| FoundList::read(&place, &octets, issuers))
    {
        Ok(list) => found.push(list),
        Err(why) => unread.push(format!("{place}: {why}")),
    };
    let mut urls = Vec::new();
    for source in &sources.lists {
        if source.contains("://") {
            if source.ends_with(".crl") {
                urls.push(source.clone());
            } else {
                urls.extend(list_urls(source, issuers));
            }
            continue;
        }
        for file in files(Path::new(source)) {
            let octets = fs::read(&file).map_err(|error| error.to_string());
            take(file.display().to_string(), octets);
        }
    }
    if sources.lists.is_empty() {
        urls.extend(list_urls(&settings.public_url, issuers));
    }
    for url in urls {
        let octets = fetch(&url).await.map(|octets| octets.to_vec());
        take(url, octets);
    }
    (found, unread)
}

fn list_urls(base: &str, issuers: &[IssuerRecord]) -> Vec<String> {
    issuers
        .iter()
        .filter(|issuer| issuer.state != IssuerState::Retired && !issuer.certificate.is_empty())
        .flat_map(|issuer| {
            (0..issuer.list_shards).map(move |shard| list_url(base, &issuer.id, shard))
        })
        .collect()
}

/// The file, or every file of the directory.
fn files(path: &Path) -> Vec<PathBuf> {
    match fs::read_dir(path) {
        Ok(entries) => {
            let mut files: Vec<PathBuf> = entries
                .filter_map(|entry| entry.ok().map(|entry| entry.path()))
                .filter(|path| path.is_file())
                .collect();
            files.sort();
            files
        }
        Err(_) => vec![path.to_owned()],
    }
}
