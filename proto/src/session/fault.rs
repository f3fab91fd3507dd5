//! Why a link ends by what its peer said or did.

use super::unreachable::{Misfit, Unreachable};
use crate::wire::preamble::Refusal;
use crate::wire::record::Reason;

/// Why a link ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The other side turned us away, or what answers is not Eyeline.
    Refused(Unreachable),
    /// We turn the other side away: it is told this sentence.
    TurnedAway(Refusal, String),
    /// Neither of us has what the other wants.
    Unfit(Misfit),
    /// It broke the protocol.
    Protocol(String),
    /// It left, for this reason.
    Left(Reason, String),
}
