//! Mint rates that all hold at once: those of a charter's revisions and of its lineage.

use lanyard_vocabulary::time::Ttl;
use serde::{Deserialize, Serialize};

/// So many within a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// The number within the window.
    pub count: u32,
    /// The window in which the credentials are counted.
    pub per: Ttl,
}

/// A set of rates that all hold. A burst and an average are two bounds, and neither replaces the
/// other (S23). Serialized as one rate if there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "RatesForm", into = "RatesForm")]
pub struct Rates(Vec<Rate>);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum RatesForm {
    One(Rate),
    All(Vec<Rate>),
}

impl From<RatesForm> for Rates {
    fn from(form: RatesForm) -> Self {
        match form {
            RatesForm::One(rate) => rate.into(),
            RatesForm::All(all) => Self(all),
        }
    }
}

impl From<Rates> for RatesForm {
    fn from(rates: Rates) -> Self {
        match rates.0.as_slice() {
            [rate] => Self::One(*rate),
            _ => Self::All(rates.0),
        }
    }
}

impl From<Rate> for Rates {
    fn from(rate: Rate) -> Self {
        Self(vec![rate])
    }
}

impl From<Vec<Rate>> for Rates {
    /// Takes the rates as they are: a record holds them as [`Rates::and`] left them.
    fn from(all: Vec<Rate>) -> Self {
        Self(all)
    }
}

impl Rates {
    /// Iterates over the rates.
    pub fn iter(&self) -> impl Iterator<Item = Rate> {
        self.0.iter().copied()
    }

    /// Joins two sets, without the rates that another rate implies: one that allows no more in a
    /// window that is no shorter.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let mut all: Vec<Rate> = Vec::new();
        for rate in self.iter().chain(other.iter()) {
            let holds = |one: &Rate, two: &Rate| one.count <= two.count && one.per >= two.per;
            if all.iter().any(|known| holds(known, &rate)) {
                continue;
            }
            all.retain(|known| !holds(&rate, known));
            all.push(rate);
        }
        Self(all)
    }
}
