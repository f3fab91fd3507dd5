//! What the halves of a session have in common.

use super::endpoint::Endpoint;
use super::events::Event;
use std::collections::VecDeque;

/// Lent to a half for one call.
pub(super) struct LinksAndEvents<'a> {
    pub endpoint: &'a mut Endpoint,
    /// What the application is told, oldest first.
    pub events: &'a mut VecDeque<Event>,
}
