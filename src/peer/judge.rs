//! Who may stay: what a greeting is held against. Pure.

use std::collections::BTreeSet;

use crate::types::NodeId;

use super::{Greeting, Refusal};

/// What this board knows when somebody greets it.
pub(super) struct Known<'a> {
    pub(super) is_member: bool,
    /// Of the data that the caller's id stands for; 0: not known.
    pub(super) incarnation: u64,
    /// The caller has shown the key that the list has for its id, or the list has none; a guest, a certificate for that id.
    pub(super) is_key: bool,
    /// The caller has shown a certificate, or this board takes who has none.
    pub(super) is_certified: bool,
    pub(super) removed: &'a BTreeSet<NodeId>,
    pub(super) takes_guests: bool,
    pub(super) has_room_for_guests: bool,
}

impl Known<'_> {
    fn is_other(&self, incarnation: u64) -> bool {
        self.incarnation != 0 && self.incarnation != incarnation
    }
}

/// What the list of members says of who asks for the authority's key, or for its word.
pub(super) struct Listed {
    pub(super) has_key: bool,
    pub(super) votes: bool,
}

/// The dialled judges the dialler.
pub(super) fn of_caller(mine: &Greeting, theirs: &Greeting, known: &Known<'_>) -> Option<Refusal> {
    let refusal = match () {
        () if mine.common_version(theirs).is_none() => Refusal::Version,
        () if !known.is_certified => Refusal::NoCertificate,
        () if theirs.cluster != mine.cluster => Refusal::OtherCluster,
        () if theirs.to != mine.from => Refusal::WrongMember,
        () if theirs.from == mine.from => Refusal::SameMember,
        () if known.removed.contains(&theirs.from) => Refusal::Removed,
        () if known.is_member && !known.is_key => Refusal::WrongKey,
        () if known.is_other(theirs.incarnation) => Refusal::WipedDisk,
        () if known.is_member => return None,
        () if !known.takes_guests || theirs.from == NodeId(0) => Refusal::NotMember,
        () if !known.is_key => Refusal::WrongKey,
        () if !known.has_room_for_guests => Refusal::Busy,
        () => return None,
    };
    Some(refusal)
}

/// Does the dialler know the dialled as one whose data was other than what is here?
pub(super) fn is_disowned(mine: &Greeting, theirs: &Greeting) -> bool {
    let is_of_us = theirs.cluster == mine.cluster && theirs.to == mine.from && theirs.from != mine.from;
    is_of_us && theirs.known_as != 0 && theirs.known_as != mine.incarnation
}

/// The dialler judges the answer.
pub(super) fn of_called(mine: &Greeting, theirs: &Greeting) -> Option<Refusal> {
    match () {
        () if theirs.verdict.is_some() => theirs.verdict,
        () if mine.common_version(theirs).is_none() => Some(Refusal::Version),
        () if theirs.cluster != mine.cluster => Some(Refusal::OtherCluster),
        () if theirs.from != mine.to || theirs.to != mine.from => Some(Refusal::WrongMember),
        () if theirs.purpose != mine.purpose => Some(Refusal::WrongMember),
        () => None,
    }
}

/// The dialled judges a voter that asks for the authority's key: only who has shown the key of a member that votes gets it.
pub(super) fn of_voter(
    caller: Option<Refusal>,
    listed: Option<&Listed>,
    has_authority: bool,
) -> Option<Refusal> {
    match (of_member(caller, listed, true), listed) {
        (Some(refusal), _) => Some(refusal),
        (None, Some(listed)) if !listed.votes => Some(Refusal::NotVoter),
        _ => of_member(caller, listed, has_authority),
    }
}

/// The dialled judges a member that asks for a certificate: only who has shown the key of a member gets one.
pub(super) fn of_member(
    caller: Option<Refusal>,
    listed: Option<&Listed>,
    has_authority: bool,
) -> Option<Refusal> {
    match (caller, listed) {
        (Some(refusal), _) => Some(refusal),
        (None, None) => Some(Refusal::NotMember),
        (None, Some(listed)) if !listed.has_key => Some(Refusal::WrongKey),
        (None, Some(_)) if !has_authority => Some(Refusal::NoAuthority),
        (None, Some(_)) => None,
    }
}

/// Who asks, and who is asked, need only speak one language.
pub(super) fn of_asking(mine: &Greeting, theirs: &Greeting) -> Option<Refusal> {
    match () {
        () if theirs.verdict.is_some() => theirs.verdict,
        () if mine.common_version(theirs).is_none() => Some(Refusal::Version),
        () if theirs.purpose != mine.purpose => Some(Refusal::WrongMember),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{peer::Purpose, types::ClusterId};

    const MINE: Greeting = Greeting {
        lowest: 2,
        highest: 3,
        purpose: Purpose::Urgent,
        verdict: None,
        cluster: ClusterId(5),
        from: NodeId(1),
        to: NodeId(2),
        frame_bytes_max: 1,
        incarnation: 6,
        known_as: 0,
        is_led: false,
    };

    const THEIRS: Greeting = Greeting { from: NodeId(2), to: NodeId(1), ..MINE };

    fn judge(
        theirs: Greeting,
        is_member: bool,
        takes_guests: bool,
        has_room_for_guests: bool,
    ) -> Option<Refusal> {
        let incarnation = if is_member { MINE.incarnation } else { 0 };
        let removed = BTreeSet::from([NodeId(9)]);
        let known = Known {
            is_member,
            incarnation,
            is_key: true,
            is_certified: true,
            removed: &removed,
            takes_guests,
            has_room_for_guests,
        };
        of_caller(&MINE, &theirs, &known)
    }

    #[test]
    fn callers() {
        let member = |theirs| judge(theirs, true, false, false);
        assert_eq!(member(THEIRS), None);
        assert_eq!(member(Greeting { lowest: 3, highest: 9, ..THEIRS }), None);
        assert_eq!(member(Greeting { lowest: 4, highest: 9, ..THEIRS }), Some(Refusal::Version));
        assert_eq!(member(Greeting { lowest: 1, highest: 1, ..THEIRS }), Some(Refusal::Version));
        assert_eq!(member(Greeting { cluster: ClusterId(6), ..THEIRS }), Some(Refusal::OtherCluster));
        assert_eq!(member(Greeting { to: NodeId(3), ..THEIRS }), Some(Refusal::WrongMember));
        assert_eq!(member(Greeting { from: NodeId(1), ..THEIRS }), Some(Refusal::SameMember));
        assert_eq!(member(Greeting { incarnation: 7, ..THEIRS }), Some(Refusal::WipedDisk));
        assert_eq!(judge(Greeting { incarnation: 7, ..THEIRS }, false, true, true), None, "not known yet");
        let removed = Greeting { from: NodeId(9), ..THEIRS };
        assert_eq!(judge(removed, true, true, true), Some(Refusal::Removed));
        assert_eq!(judge(THEIRS, false, false, true), Some(Refusal::NotMember));
        assert_eq!(judge(THEIRS, false, true, false), Some(Refusal::Busy));
        assert_eq!(judge(THEIRS, false, true, true), None);
        let nobody = Greeting { from: NodeId(0), ..THEIRS };
        assert_eq!(judge(nobody, false, true, true), Some(Refusal::NotMember));
    }

    #[test]
    fn who_is_known_with_other_data() {
        let known_as = |known_as| is_disowned(&MINE, &Greeting { known_as, ..THEIRS });
        assert!(known_as(7) && !known_as(MINE.incarnation) && !known_as(0));
        let stranger = Greeting { known_as: 7, cluster: ClusterId(6), ..THEIRS };
        assert!(!is_disowned(&MINE, &stranger), "of another cluster");
        assert!(!is_disowned(&MINE, &Greeting { known_as: 7, to: NodeId(3), ..THEIRS }), "of another member");
        assert!(!is_disowned(&MINE, &Greeting { known_as: 7, from: NodeId(1), ..THEIRS }), "of itself");
    }

    #[test]
    fn questions() {
        let ask =
            Greeting { purpose: Purpose::Ask, cluster: ClusterId(0), from: NodeId(0), to: NodeId(0), ..MINE };
        let asked = Greeting { cluster: ClusterId(5), from: NodeId(2), ..ask };
        assert_eq!((of_asking(&ask, &asked), of_asking(&asked, &ask)), (None, None));
        let newer = Greeting { lowest: 4, highest: 9, ..asked };
        assert_eq!(of_asking(&ask, &newer), Some(Refusal::Version));
        let refused = Greeting { verdict: Some(Refusal::Version), ..asked };
        assert_eq!(of_asking(&ask, &refused), Some(Refusal::Version));
        assert_eq!(of_asking(&ask, &MINE), Some(Refusal::WrongMember));
    }

    #[test]
    fn answers() {
        assert_eq!(of_called(&MINE, &THEIRS), None);
        let refused = Greeting { verdict: Some(Refusal::Removed), ..THEIRS };
        assert_eq!(of_called(&MINE, &refused), Some(Refusal::Removed));
        assert_eq!(of_called(&MINE, &Greeting { from: NodeId(3), ..THEIRS }), Some(Refusal::WrongMember));
        assert_eq!(of_called(&MINE, &Greeting { to: NodeId(3), ..THEIRS }), Some(Refusal::WrongMember));
        assert_eq!(
            of_called(&MINE, &Greeting { cluster: ClusterId(6), ..THEIRS }),
            Some(Refusal::OtherCluster)
        );
        assert_eq!(of_called(&MINE, &Greeting { lowest: 9, highest: 9, ..THEIRS }), Some(Refusal::Version));
    }
}
