//! A fake of Hare, which accepts and refuses what Hare does, and fails once if a test asks for it.

use std::collections::BTreeMap;
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

#[derive(Default)]
pub(crate) struct Hare {
    pub(crate) clock: ManualClock,
    pub(crate) wrong: Mutex<Option<Wrong>>,
    pub(crate) silent: Notify,
    /// Password and end, by name.
    users: Mutex<BTreeMap<String, (String, Timestamp)>>,
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
        let users = self.users.lock();
        let Some((name, password)) = login.split_once(':') else {
            return false;
        };
        let user = users.get(name);
        user.is_some_and(|(own, until)| own == password && self.clock.now() < *until)
    }

    pub(crate) fn last_made(&self) -> Option<String> {
        self.made.lock().0.clone()
    }

    fn make(&self, name: &str, until: Timestamp) -> String {
        let mut made = self.made.lock();
        made.1 += 1;
        let password = format!("password-{}", made.1);
        made.0 = Some(format!("{name}:{password}"));
        let user = (password.clone(), until);
        self.users.lock().insert(name.to_owned(), user);
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
        let password = self.make(&user.name, until);
        if self.goes(&Wrong::Silence) {
            self.silent.notify_one();
            std::future::pending::<()>().await;
        }
        if self.goes(&Wrong::LostAnswer) {
            return Err(HareError::Lost);
        }
        let mut reads = user.reads.clone();
        if self.goes(&Wrong::Wider) {
            reads.insert("payroll".to_owned());
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
        let live = users.iter().filter(|(_, (_, until))| now < *until);
        Ok(live.map(|(name, _)| name.clone()).collect())
    }
}
