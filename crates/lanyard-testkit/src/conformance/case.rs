//! The cases by name, and what became of one.

use std::fmt;

/// What is played. Lines of the threat model are named with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Case {
    /// What is asked for is given, under the handle that was prepared, and shows no secret (T49).
    Mint,
    /// A fresh credential works.
    Use,
    /// A credential works until its end, and not past its worst expiry, with the broker gone.
    Expire,
    /// A revoked credential does nothing, and its neighbour lives on.
    Revoke,
    /// A revocation can be repeated.
    RevokeTwice,
    /// What never came to be is revoked all the same.
    RevokeUnknown,
    /// The server makes the credential and never answers (T55).
    TimeoutAfterMint,
    /// The server makes the credential and its answer is lost (T55).
    LostAnswer,
    /// The server asks to slow down (T46).
    Throttle,
    /// One revocation of two fails (T67).
    PartialFailure,
    /// The credential lives longer than asked (T79).
    LongerExpiry,
    /// The credential allows more than asked (T79).
    WiderScope,
    /// The server's error repeats a secret (T50).
    EchoedSecret,
    /// What is there is listed, and can be revoked as it was listed.
    Sweep,
    /// A live credential is not called dead, nor a dead one live.
    Probe,
    /// A kill of the whole target: what was asked for before is dead, what is minted after lives.
    KillOfAScope,
    /// What an earlier process minted is revoked by the handle in the ledger alone (T54).
    Restart,
}

impl Case {
    /// In the order of the table.
    pub const ALL: [Self; 17] = [
        Self::Mint,
        Self::Use,
        Self::Expire,
        Self::Revoke,
        Self::RevokeTwice,
        Self::RevokeUnknown,
        Self::TimeoutAfterMint,
        Self::LostAnswer,
        Self::Throttle,
        Self::PartialFailure,
        Self::LongerExpiry,
        Self::WiderScope,
        Self::EchoedSecret,
        Self::Sweep,
        Self::Probe,
        Self::KillOfAScope,
        Self::Restart,
    ];

    /// As the table writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mint => "mint",
            Self::Use => "use",
            Self::Expire => "expire on time",
            Self::Revoke => "revoke",
            Self::RevokeTwice => "revoke twice",
            Self::RevokeUnknown => "revoke unknown",
            Self::TimeoutAfterMint => "timeout after mint",
            Self::LostAnswer => "lost answer",
            Self::Throttle => "throttle",
            Self::PartialFailure => "partial failure",
            Self::LongerExpiry => "longer expiry",
            Self::WiderScope => "wider scope",
            Self::EchoedSecret => "echoed secret",
            Self::Sweep => "sweep",
            Self::Probe => "probe",
            Self::KillOfAScope => "kill of a scope",
            Self::Restart => "restart",
        }
    }

    /// Whether a server has to fail for it: only then can a provider that calls nobody say [`Played::Never`].
    pub(super) const fn needs_a_fault(self) -> bool {
        match self {
            Self::TimeoutAfterMint
            | Self::LostAnswer
            | Self::Throttle
            | Self::PartialFailure
            | Self::LongerExpiry
            | Self::WiderScope
            | Self::EchoedSecret => true,
            Self::Mint
            | Self::Use
            | Self::Expire
            | Self::Revoke
            | Self::RevokeTwice
            | Self::RevokeUnknown
            | Self::Sweep
            | Self::Probe
            | Self::KillOfAScope
            | Self::Restart => false,
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What became of a case on one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Played {
    /// It holds, seen at the server.
    Passed,
    /// The provider did its part; that it means what it should rests on this.
    RestsOn(&'static str),
    /// This server cannot play it, for this reason; another one of the provider has to.
    NotHere(&'static str),
    /// No server of this provider could do that: minting and revoking call nobody, for this reason.
    Never(&'static str),
}
