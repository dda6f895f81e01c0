//! The calendar of a charter: its end, freezes and hours, which deny or demand approval whatever
//! the charter allows.

use std::collections::BTreeSet;
use std::fmt;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use lanyard_document::Position;
use lanyard_document::shape::Word;
use lanyard_vocabulary::name::Name;
use lanyard_vocabulary::role::Role;
use lanyard_vocabulary::time::Timestamp;

use crate::breaker::word;

/// A freeze: a time in which roles are not issued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freeze {
    /// The first moment of the freeze.
    pub from: Timestamp,
    /// The first moment after the freeze.
    pub to: Timestamp,
    /// The roles that are not issued.
    pub roles: BTreeSet<Role>,
    /// The environments frozen; all if empty.
    pub environments: BTreeSet<Name>,
    /// The reason, in the words that the agent reads.
    pub reason: String,
    /// The freeze's position in the charter.
    pub at: Position,
}

impl Freeze {
    /// True if the freeze covers this role in this environment.
    #[must_use]
    pub fn is_about(&self, role: Role, environment: &Name) -> bool {
        is_about(&self.roles, &self.environments, (role, environment))
    }

    /// True if the freeze holds at `now`.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.to
    }
}

/// The end of a charter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The first moment at which the charter allows nothing.
    pub when: Timestamp,
    /// The freeze's position in the charter.
    pub at: Position,
}

/// The hours in which a charter allows what it grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hours {
    /// The time zone of days and times.
    pub zone: TimeZone,
    /// The days on which the hours begin, in the order of the week.
    pub days: Vec<Weekday>,
    /// The time at which the hours begin.
    pub from: Time,
    /// The time at which the hours end, on the next day if it is not after `from`.
    pub to: Time,
    /// The consequence of a request outside of the hours.
    pub outside: Outside,
    /// The roles that the hours hold for.
    pub roles: BTreeSet<Role>,
    /// The environments covered; all if empty.
    pub environments: BTreeSet<Name>,
    /// The hours' position in the charter.
    pub at: Position,
}

/// The consequence of a request outside of the hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outside {
    /// A person has to approve what needs no approval otherwise.
    RequireApproval,
    /// The request is denied.
    Deny,
}

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::RequireApproval => "require-approval",
            Self::Deny => "deny",
        })
    }
}

impl Hours {
    /// True if the hours cover this role in this environment.
    #[must_use]
    pub fn is_about(&self, role: Role, environment: &Name) -> bool {
        is_about(&self.roles, &self.environments, (role, environment))
    }

    /// The time at which the current hours end; `None` outside of the hours. A local time that the
    /// zone skips or repeats is read as in RFC 5545.
    #[must_use]
    pub fn until(&self, now: Timestamp) -> Option<Timestamp> {
        let moment = jiff::Timestamp::from_second(i64::try_from(now.as_secs()).ok()?).ok()?;
        let today = moment.to_zoned(self.zone.clone()).date();
        let begun = [Some(today), today.yesterday().ok()];
        let mut spans = begun.into_iter().flatten().filter_map(|day| self.on(day));
        let within = spans.find(|(from, to)| *from <= now && now < *to);
        within.map(|(_, to)| to)
    }

    /// The time after `now` at which the hours begin next.
    #[must_use]
    pub fn opens(&self, now: Timestamp) -> Option<Timestamp> {
        let moment = jiff::Timestamp::from_second(i64::try_from(now.as_secs()).ok()?).ok()?;
        let mut day = moment.to_zoned(self.zone.clone()).date();
        // Today's may be over, and a week later is the same day again.
        for _ in 0..=7 {
            if let Some((from, _)) = self.on(day).filter(|(from, _)| *from > now) {
                return Some(from);
            }
            day = day.tomorrow().ok()?;
        }
        None
    }

    /// The hours that begin on this day.
    fn on(&self, day: Date) -> Option<(Timestamp, Timestamp)> {
        if !self.days.contains(&day.weekday()) {
            return None;
        }
        let last = if self.to > self.from {
            day
        } else {
            day.tomorrow().ok()?
        };
        let moment = |day: Date, time: Time| {
            let zoned = day.to_datetime(time).to_zoned(self.zone.clone()).ok()?;
            let seconds = u64::try_from(zoned.timestamp().as_second()).ok()?;
            Some(Timestamp::from_secs(seconds))
        };
        Some((moment(day, self.from)?, moment(last, self.to)?))
    }

    /// The minutes of the week that the hours cover, counted from Monday.
    #[must_use]
    pub fn minutes(&self) -> BTreeSet<u16> {
        const WEEK: u16 = 7 * 24 * 60;
        let minute = |time: Time| {
            u16::try_from(i16::from(time.hour()) * 60 + i16::from(time.minute())).unwrap_or(0)
        };
        let (from, to) = (minute(self.from), minute(self.to));
        let length = if to > from {
            to - from
        } else {
            to + 24 * 60 - from
        };
        let mut covered = BTreeSet::new();
        for day in &self.days {
            let begins = u16::try_from(day.to_monday_zero_offset()).unwrap_or(0) * 24 * 60 + from;
            covered.extend((begins..begins + length).map(|minute| minute % WEEK));
        }
        covered
    }

    /// The hours as people write them: `mon tue 08:00 to 18:00 Europe/Berlin`.
    #[must_use]
    pub fn shown(&self) -> String {
        let days: Vec<&str> = self.days.iter().map(|day| word(DAYS, *day)).collect();
        let (from, to) = (self.from.strftime("%H:%M"), self.to.strftime("%H:%M"));
        let zone = self.zone.iana_name().unwrap_or("UTC");
        format!("{} {from} to {to} {zone}", days.join(" "))
    }
}

/// The days by the names that charters use.
pub(super) const DAYS: &[Word<Weekday>] = &[
    Word::new("mon", Weekday::Monday),
    Word::new("tue", Weekday::Tuesday),
    Word::new("wed", Weekday::Wednesday),
    Word::new("thu", Weekday::Thursday),
    Word::new("fri", Weekday::Friday),
    Word::new("sat", Weekday::Saturday),
    Word::new("sun", Weekday::Sunday),
];

/// True if these roles and environments, where an empty set means all, include this role and
/// environment.
fn is_about(
    roles: &BTreeSet<Role>,
    environments: &BTreeSet<Name>,
    (role, environment): (Role, &Name),
) -> bool {
    let there = environments.is_empty() || environments.contains(environment);
    there && roles.contains(&role)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(zone: &str, days: &[Weekday], from: &str, to: &str) -> Hours {
        Hours {
            zone: TimeZone::get(zone).unwrap(),
            days: days.to_vec(),
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            outside: Outside::Deny,
            roles: [Role::Apply].into(),
            environments: BTreeSet::new(),
            at: Position { line: 1, column: 1 },
        }
    }

    fn at(text: &str) -> Timestamp {
        let moment: jiff::Timestamp = text.parse().unwrap();
        Timestamp::from_secs(u64::try_from(moment.as_second()).unwrap())
    }

    #[test]
    fn hours_follow_the_zone_through_the_change_of_its_clocks() {
        let work = hours(
            "Europe/Berlin",
            &[Weekday::Friday, Weekday::Monday],
            "08:00",
            "18:00",
        );
        // The clocks go back on Sunday the 25th of October: UTC+2 before, UTC+1 after.
        assert_eq!(work.until(at("2026-10-23T05:59:59Z")), None);
        assert_eq!(
            work.until(at("2026-10-23T06:00:00Z")),
            Some(at("2026-10-23T16:00:00Z"))
        );
        assert_eq!(work.until(at("2026-10-23T16:00:00Z")), None);
        assert_eq!(work.until(at("2026-10-24T12:00:00Z")), None);
        assert_eq!(work.until(at("2026-10-26T06:30:00Z")), None);
        assert_eq!(
            work.until(at("2026-10-26T07:00:00Z")),
            Some(at("2026-10-26T17:00:00Z"))
        );
    }

    #[test]
    fn u22_hours_say_when_they_begin_next() {
        let work = hours(
            "Europe/Berlin",
            &[Weekday::Friday, Weekday::Monday],
            "08:00",
            "18:00",
        );
        let opens = |now| work.opens(at(now));
        // On the day itself, over a weekend on which the clocks go back, and a week later.
        assert_eq!(
            opens("2026-10-23T03:00:00Z"),
            Some(at("2026-10-23T06:00:00Z"))
        );
        assert_eq!(
            opens("2026-10-23T16:00:00Z"),
            Some(at("2026-10-26T07:00:00Z"))
        );
        let mondays = hours("UTC", &[Weekday::Monday], "08:00", "08:00");
        assert_eq!(
            mondays.opens(at("2026-10-26T08:00:00Z")),
            Some(at("2026-11-02T08:00:00Z"))
        );
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let night = hours("UTC", &[Weekday::Sunday], "22:00", "06:00");
        assert_eq!(
            night.until(at("2026-11-22T23:00:00Z")),
            Some(at("2026-11-23T06:00:00Z"))
        );
        assert_eq!(
            night.until(at("2026-11-23T05:59:00Z")),
            Some(at("2026-11-23T06:00:00Z"))
        );
        assert_eq!(night.until(at("2026-11-22T05:00:00Z")), None);
        assert_eq!(night.minutes().len(), 8 * 60);
        assert!(night.minutes().contains(&0), "Monday at midnight");
        let whole = hours("UTC", &[Weekday::Monday], "00:00", "00:00");
        assert_eq!(whole.minutes().len(), 24 * 60);
    }
}
