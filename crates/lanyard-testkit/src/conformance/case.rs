//! The conformance cases, and the outcome of one.

use std::fmt;

/// A case of the conformance suite. Threat ids name the threats that a case covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Case {
    /// A mint returns a credential under the prepared handle, and Debug output shows no secret
    /// (T49).
    Mint,
    /// A fresh credential works at the server.
    Use,
    /// A credential works until it expires, and not beyond its worst expiry, even if the broker is
    /// gone.
    Expire,
    /// A revoked credential stops working, and another one keeps working.
    Revoke,
    /// A revocation can be repeated.
    RevokeTwice,
    /// A lease that was never minted can be revoked.
    RevokeUnknown,
    /// The server makes the credential and never answers (T55).
    TimeoutAfterMint,
    /// The server makes the credential and its answer is lost (T55).
    LostAnswer,
    /// The server asks to slow down (T46).
    Throttle,
    /// A revocation of two leases fails for one of them (T67).
    PartialFailure,
    /// The credential lives longer than asked (T79).
    LongerExpiry,
    /// The credential allows more than asked (T79).
    WiderScope,
    /// The server's error repeats a secret (T50).
    EchoedSecret,
    /// Live credentials are listed, and can be revoked with what the list returns.
    Sweep,
    /// The probe calls no live credential dead, and no dead one live.
    Probe,
    /// A kill of a whole target ends earlier credentials, and credentials minted afterwards work.
    KillOfAScope,
    /// A new process revokes with the handle from the ledger alone (T54).
    Restart,
}

impl Case {
    /// All cases, in the order of the table.
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

    /// Returns the name of the case in the table.
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

    /// True if the case needs a faulty server. Only for such a case may a provider that calls no
    /// server answer [`Played::Never`].
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

/// The outcome of a case on one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Played {
    /// The case holds, as seen at the server.
    Passed,
    /// The provider did its part. That the server enforces it rests on this other evidence.
    RestsOn(&'static str),
    /// The case cannot be played on this server, for this reason. Another server of the provider
    /// must.
    NotHere(&'static str),
    /// No server of the provider could fail in this way, since minting and revoking call no server.
    Never(&'static str),
}
