//! Who may do what: the tokens of a host, their scopes, and what is seen of their files while it runs.
//! Which route needs which scope is said in the table of routes; what a refusal looks like is the gate's.

mod file;
mod holder;
mod own;
mod scope;
pub(crate) mod secret;

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::watch;
use trackside_engine::{OnStop, Tasks};
use trackside_model::{event::Text, plugin::Digest, time::Timestamp};

pub(crate) use self::{
    file::{Entry, FileError, TokenFile, check_name},
    holder::{Lease, Who},
    own::FILE as OWN_FILE,
    scope::{Scope, words},
};
use self::{own::OwnToken, secret::same};
use crate::file_mark::FileMark;

/// Pause between two looks at the files: a token that is removed or expires counts no longer than this.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Tokens that count.
#[derive(Debug)]
pub(crate) struct Tokens(Vec<Entry>);

impl Tokens {
    /// Every digest is compared, whatever was found before.
    fn find(&self, sha256: &Digest, now: Timestamp) -> Option<&Entry> {
        let found = self.0.iter().fold(None, |found, entry| if same(&entry.sha256, sha256) { Some(entry) } else { found });
        found.filter(|entry| entry.is_valid(now))
    }

    /// Whether somebody with this secret may do this.
    fn grant(&self, sha256: &Digest, scope: Scope) -> bool {
        self.find(sha256, trackside_engine::now()).is_some_and(|entry| entry.scopes.contains(&scope))
    }
}

/// Why a request is not let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It shows no token, and must.
    NoToken,
    /// It shows one that this host does not know.
    UnknownToken,
    /// Its token has not the scope.
    NoScope {
        /// Of the token.
        name: String,
        /// What it has.
        scopes: Vec<Scope>,
    },
}

/// What a host asks of requests.
#[derive(Clone)]
pub(crate) struct Access(Arc<Kept>);

struct Kept {
    /// Whether what is everybody's on this machine needs a token too.
    required: bool,
    own: OwnToken,
    file: TokenFile,
    seen: Mutex<Seen>,
    tokens: watch::Sender<Arc<Tokens>>,
}

/// What was seen of the files last.
#[derive(Default)]
struct Seen {
    marks: [Option<FileMark>; 2],
    own: Option<Entry>,
    listed: Vec<Entry>,
}

impl Access {
    /// That of a data directory. The host's own token is made if there is none.
    ///
    /// # Errors
    /// What the system says, if a file can be neither read nor made; a file that holds something else.
    pub(crate) fn in_directory(data_dir: &Path, required: bool) -> io::Result<Self> {
        let own = OwnToken::in_directory(data_dir)?;
        let file = TokenFile::in_directory(data_dir);
        let mut seen = Seen::default();
        let invalid = |error: FileError| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
        seen.marks = [FileMark::of(own.path()), FileMark::of(file.path())];
        seen.own = Some(own.read()?);
        seen.listed = file.read().map_err(invalid)?;
        let tokens = watch::Sender::new(Arc::new(seen.valid(trackside_engine::now())));
        Ok(Self(Arc::new(Kept { required, own, file, seen: Mutex::new(seen), tokens })))
    }

    /// Looks at the files now and then, until the host stops.
    pub(crate) fn watch(&self, tasks: &Tasks) {
        let kept = self.0.clone();
        tasks.spawn("tokens", OnStop::Abort, async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                tokio::task::block_in_place(|| kept.look());
            }
        });
    }

    /// Whether every request needs a token.
    pub(crate) fn is_required(&self) -> bool {
        self.0.required
    }

    /// Where the host's own token is kept.
    pub(crate) fn own_path(&self) -> &Path {
        self.0.own.path()
    }

    /// Lets a request through that shows this secret, or none, and needs this scope.
    ///
    /// # Errors
    /// [`Refused`] says what it lacks.
    pub(crate) fn admit(&self, shown: Option<&str>, needs: Scope) -> Result<Who, Refused> {
        let free = !self.0.required && needs.is_everybodys();
        let Some(secret) = shown else {
            return if free { Ok(Who::nobody()) } else { Err(Refused::NoToken) };
        };
        let sha256 = Digest::of(secret.as_bytes());
        let entry = self.0.entry(&sha256).ok_or(Refused::UnknownToken)?;
        let granted = entry.scopes.contains(&needs);
        if !granted && !free {
            return Err(Refused::NoScope { name: entry.name, scopes: entry.scopes });
        }
        // What it does by what is everybody's, it could do without.
        let lease = if granted { Lease::of(sha256, needs, self.0.tokens.subscribe()) } else { Lease::endless() };
        let mut scopes = entry.scopes;
        if !self.0.required {
            scopes.extend(Scope::everybodys());
        }
        Ok(Who::new(Some(Text::from(entry.name)), scopes, lease))
    }
}

impl Kept {
    fn entry(&self, sha256: &Digest) -> Option<Entry> {
        let find = || self.tokens.borrow().find(sha256, trackside_engine::now()).cloned();
        // One that was added a moment ago counts at once.
        find().or_else(|| {
            self.look();
            find()
        })
    }

    /// Looks whether the files are others than they were, and who of them still counts.
    fn look(&self) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let marks = [FileMark::of(self.own.path()), FileMark::of(self.file.path())];
        if seen.marks[0] != marks[0] {
            seen.own = self.own.read().map_err(|error| tracing::warn!("the host's own token counts no more: {error}")).ok();
        }
        if seen.marks[1] != marks[1] {
            match self.file.read() {
                Ok(listed) => {
                    tracing::info!("{}: {} tokens", self.file.path().display(), listed.len());
                    seen.listed = listed;
                }
                Err(error) => tracing::error!("the tokens are as they were: {error}"),
            }
        }
        seen.marks = marks;
        let valid = seen.valid(trackside_engine::now());
        self.tokens.send_if_modified(|tokens| {
            let changed = tokens.0 != valid.0;
            *tokens = Arc::new(valid);
            changed
        });
    }
}

impl Seen {
    fn valid(&self, now: Timestamp) -> Tokens {
        Tokens(self.own.iter().chain(&self.listed).filter(|entry| entry.is_valid(now)).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn added(data_dir: &Path, name: &str, scopes: &[Scope], expires_at: Option<Timestamp>) -> String {
        let secret = secret::fresh();
        let sha256 = Digest::of(secret.as_bytes());
        let entry = Entry { name: name.to_owned(), scopes: scopes.to_vec(), sha256, made_at: trackside_engine::now(), expires_at };
        TokenFile::in_directory(data_dir).add(entry).unwrap();
        secret
    }

    #[test]
    fn on_this_machine_a_token_is_asked_for_what_is_not_everybodys_alone() {
        let directory = tempfile::tempdir().unwrap();
        let access = Access::in_directory(directory.path(), false).unwrap();
        let shop = added(directory.path(), "shop", &[Scope::Plugins], None);
        for scope in Scope::ALL {
            assert_eq!(access.admit(None, scope).is_ok(), scope.is_everybodys(), "{scope}");
            assert_eq!(access.admit(Some(&shop), scope).is_ok(), scope != Scope::Admin, "{scope}");
            // A wrong one is a mistake that is better told.
            assert_eq!(access.admit(Some("guess"), scope).unwrap_err(), Refused::UnknownToken);
        }
        let own = fs::read_to_string(access.own_path()).unwrap();
        assert_eq!(access.admit(Some(own.trim()), Scope::Admin).unwrap().name(), file::OPERATOR);
    }

    #[test]
    fn where_tokens_are_required_each_lets_its_holder_do_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let access = Access::in_directory(directory.path(), true).unwrap();
        for scope in Scope::ALL {
            let secret = added(directory.path(), scope.name(), &[scope], None);
            for needs in Scope::ALL {
                let admitted = access.admit(Some(&secret), needs);
                assert_eq!(admitted.is_ok(), needs == scope, "{scope} for {needs}");
                if let Err(refused) = admitted {
                    assert_eq!(refused, Refused::NoScope { name: scope.name().to_owned(), scopes: vec![scope] });
                }
            }
            assert_eq!(access.admit(None, scope).unwrap_err(), Refused::NoToken);
        }
    }

    #[tokio::test]
    async fn a_lease_ends_with_its_token() {
        let directory = tempfile::tempdir().unwrap();
        let access = Access::in_directory(directory.path(), true).unwrap();
        let (leaves, stays) =
            (added(directory.path(), "leaves", &[Scope::Read], None), added(directory.path(), "stays", &[Scope::Read], None));
        let lease = |secret: &str| access.admit(Some(secret), Scope::Read).unwrap().lease();
        let (mut leaves, mut stays) = (lease(&leaves), lease(&stays));
        TokenFile::in_directory(directory.path()).remove("leaves").unwrap();
        access.0.look();
        leaves.ended().await;
        assert!(futures_util::FutureExt::now_or_never(stays.ended()).is_none());
    }

    #[test]
    fn what_has_expired_counts_no_more() {
        let directory = tempfile::tempdir().unwrap();
        let access = Access::in_directory(directory.path(), true).unwrap();
        let over = added(directory.path(), "over", &[Scope::Read], Some(trackside_engine::now()));
        assert_eq!(access.admit(Some(&over), Scope::Read).unwrap_err(), Refused::UnknownToken);
        // A look takes it from those who hold a lease of it, too.
        let seen = access.0.seen.lock().unwrap();
        let expires_at = seen.listed[0].expires_at.unwrap();
        let counted = |now| seen.valid(now).0.iter().any(|entry| entry.name == "over");
        assert!(counted(Timestamp(expires_at.0 - 1)) && !counted(expires_at));
    }

    #[test]
    fn a_file_that_says_nothing_leaves_the_tokens_as_they_were_and_none_takes_them_all() {
        let directory = tempfile::tempdir().unwrap();
        let access = Access::in_directory(directory.path(), true).unwrap();
        let shop = added(directory.path(), "shop", &[Scope::Read], None);
        assert!(access.admit(Some(&shop), Scope::Read).is_ok());
        let path = access.0.file.path();
        fs::write(path, "nonsense").unwrap();
        access.0.look();
        assert!(access.admit(Some(&shop), Scope::Read).is_ok());
        assert!(Access::in_directory(directory.path(), true).is_err(), "a host does not start on it");
        fs::remove_file(path).unwrap();
        access.0.look();
        assert_eq!(access.admit(Some(&shop), Scope::Read).unwrap_err(), Refused::UnknownToken);
    }

    #[test]
    fn the_hosts_own_token_is_rotated_by_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let access = Access::in_directory(directory.path(), true).unwrap();
        let before = fs::read_to_string(access.own_path()).unwrap();
        let after = secret::fresh();
        fs::write(access.own_path(), &after).unwrap();
        assert!(access.admit(Some(&after), Scope::Admin).is_ok());
        assert_eq!(access.admit(Some(before.trim()), Scope::Admin).unwrap_err(), Refused::UnknownToken);
        fs::write(access.own_path(), "short").unwrap();
        access.0.look();
        assert_eq!(access.admit(Some(&after), Scope::Admin).unwrap_err(), Refused::UnknownToken);
    }
}
