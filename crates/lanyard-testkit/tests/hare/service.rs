//! A fake of Hare, which accepts and refuses what Hare does, and fails once if a test asks for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_trait::async_trait;
use lanyard_testkit::clock::ManualClock;
use lanyard_testkit::conformance::refuser::CANARY;
use lanyard_vocabulary::secret::Secret;
use lanyard_vocabulary::time::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::provider::{HareApi, HareError, NewUser, User};

/// A fault of the next suitable call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wrong {
    Silence,
    LostAnswer,
    Throttle,
    Longer,
    Wider,
    Echo,
    Undeleted(String),
}

/// A user as the server keeps it, under its name.
struct Login {
    password: String,
    reads: BTreeSet<String>,
    until: Timestamp,
}

#[derive(Default)]
pub(crate) struct Hare {
    pub(crate) clock: ManualClock,
    pub(crate) wrong: Mutex<Option<Wrong>>,
    pub(crate) silent: Notify,
    users: Mutex<BTreeMap<String, Login>>,
    /// The last login that was created, and the number of logins.
    made: Mutex<(Option<String>, u32)>,
}

impl Hare {
    fn goes(&self, wrong: &Wrong) -> bool {
        let mut next = self.wrong.lock();
        let now = next.as_ref() == Some(wrong);
        if now {
            *next = None;
        }
        now
    }

    fn answers(&self) -> Result<(), HareError> {
        match self.goes(&Wrong::Throttle) {
            true => Err(HareError::Status(429, "slow down".to_owned())),
            false => Ok(()),
        }
    }

    /// Returns true if `name:password` may read now.
    pub(crate) fn lets_in(&self, login: &str) -> bool {
        self.readable(login).is_some()
    }

    /// Returns the queues that `name:password` may read now.
    pub(crate) fn readable(&self, login: &str) -> Option<BTreeSet<String>> {
        let users = self.users.lock();
        let (name, password) = login.split_once(':')?;
        let user = users.get(name)?;
        let is_let_in = user.password == password && self.clock.now() < user.until;
        is_let_in.then(|| user.reads.clone())
    }

    pub(crate) fn last_made(&self) -> Option<String> {
        self.made.lock().0.clone()
    }

    fn make(&self, user: &NewUser, reads: &BTreeSet<String>, until: Timestamp) -> String {
        let name = &user.name;
        let mut made = self.made.lock();
        made.1 += 1;
        let password = format!("password-{}", made.1);
        made.0 = Some(format!("{name}:{password}"));
        let login = Login {
            password: password.clone(),
            reads: reads.clone(),
            until,
        };
        self.users.lock().insert(name.clone(), login);
        password
    }
}

#[async_trait]
impl HareApi for Hare {
    async fn create(&self, user: &NewUser) -> Result<User, HareError> {
        self.answers()?;
        if self.goes(&Wrong::Echo) {
            return Err(HareError::Status(403, format!("not with {CANARY}")));
        }
        if self.users.lock().contains_key(&user.name) {
            return Err(HareError::Status(409, "it exists".to_owned()));
        }
        let longer = u64::from(self.goes(&Wrong::Longer)) * 3600;
        let until = user.until + Duration::from_secs(longer);
        let mut reads = user.reads.clone();
        if self.goes(&Wrong::Wider) {
            reads.insert("payroll".to_owned());
        }
        let password = self.make(user, &reads, until);
        if self.goes(&Wrong::Silence) {
            self.silent.notify_one();
            std::future::pending::<()>().await;
        }
        if self.goes(&Wrong::LostAnswer) {
            return Err(HareError::Lost);
        }
        Ok(User {
            password: Secret::new(password),
            reads,
            until,
        })
    }

    async fn delete(&self, name: &str) -> Result<(), HareError> {
        self.answers()?;
        if self.goes(&Wrong::Echo) {
            return Err(HareError::Status(403, format!("not with {CANARY}")));
        }
        if self.goes(&Wrong::Undeleted(name.to_owned())) {
            return Err(HareError::Status(503, "later".to_owned()));
        }
        let deleted = self.users.lock().remove(name);
        let missing = || HareError::Status(404, "no such user".to_owned());
        deleted.map(drop).ok_or_else(missing)
    }

    async fn names(&self) -> Result<Vec<String>, HareError> {
        self.answers()?;
        let (now, users) = (self.clock.now(), self.users.lock());
        let live = users.iter().filter(|(_, user)| now < user.until);
        Ok(live.map(|(name, _)| name.clone()).collect())
    }
}
