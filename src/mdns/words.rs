//! What is asked and answered (RFC 6762, 6763).

use std::net::Ipv4Addr;

use simple_dns::{
    CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, ResourceRecord, TYPE,
    rdata::{A, PTR, RData, SRV, TXT},
};

pub(super) const SERVICE: &str = "_solder._tcp.local";

/// Seconds that an answer may be kept: a board's address changes with its router.
const TTL_S: u32 = 120;

/// One board's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Speaker<'a> {
    /// One label: a host's name.
    pub(super) name: &'a str,
    pub(super) address: Ipv4Addr,
    pub(super) port: u16,
}

/// Who is there? To be answered to who asks alone.
pub(super) fn query() -> Vec<u8> {
    let name = Name::new(SERVICE).expect("it is a name");
    let question = Question::new(name, QTYPE::TYPE(TYPE::PTR), QCLASS::CLASS(CLASS::IN), true);
    let mut packet = Packet::new_query(0);
    packet.questions.push(question);
    packet.build_bytes_vec().unwrap_or_default()
}

/// Does a packet ask for this service? With its id; and whether the answer is for who asks alone.
pub(super) fn asks(packet: &[u8]) -> Option<(u16, bool)> {
    let packet = Packet::parse(packet).ok()?;
    if packet.has_flags(PacketFlag::RESPONSE) {
        return None;
    }
    let is_about = |question: &&Question<'_>| {
        question.qname.to_string().eq_ignore_ascii_case(SERVICE)
            && matches!(question.qtype, QTYPE::TYPE(TYPE::PTR) | QTYPE::ANY)
    };
    packet.questions.iter().find(is_about).map(|question| (packet.id(), question.unicast_response))
}

/// `None`: the name is none that DNS takes.
pub(super) fn answer(id: u16, speaker: &Speaker<'_>) -> Option<Vec<u8>> {
    let instance = format!("{}.{SERVICE}", label(speaker.name));
    let host = format!("{}.local", label(speaker.name));
    let [service, instance, host] = [SERVICE, &instance, &host].map(Name::new);
    let (service, instance, host) = (service.ok()?, instance.ok()?, host.ok()?);
    let record =
        |name: &Name<'_>, data| ResourceRecord::new(name.clone().into_owned(), CLASS::IN, TTL_S, data);
    let mut packet = Packet::new_reply(id);
    packet.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
    packet.answers.push(record(&service, RData::PTR(PTR(instance.clone()))));
    let place = SRV { priority: 0, weight: 0, port: speaker.port, target: host.clone() };
    packet.additional_records.push(record(&instance, RData::SRV(place)));
    packet.additional_records.push(record(&instance, RData::TXT(TXT::new())));
    packet.additional_records.push(record(&host, RData::A(A { address: speaker.address.to_bits() })));
    packet.build_bytes_vec().ok()
}

/// The port of the service in an answer; its address is where the answer came from.
pub(super) fn port(packet: &[u8]) -> Option<u16> {
    let packet = Packet::parse(packet).ok()?;
    if !packet.has_flags(PacketFlag::RESPONSE) {
        return None;
    }
    let mut records = packet.answers.iter().chain(&packet.additional_records);
    records.find_map(|record| match &record.rdata {
        RData::SRV(place) if record.name.to_string().to_ascii_lowercase().ends_with(SERVICE) => {
            Some(place.port)
        }
        _ => None,
    })
}

/// One label of at most 63 bytes.
fn label(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '-' };
    let label: String = name.chars().map(plain).take(63).collect();
    if label.is_empty() { "solder".into() } else { label }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_and_its_answer() {
        assert_eq!(asks(&query()), Some((0, true)));
        let speaker = Speaker { name: "pi-1", address: Ipv4Addr::new(10, 0, 0, 7), port: 2380 };
        let said = answer(9, &speaker).expect("a name");
        assert_eq!(port(&said), Some(2380));
        assert_eq!(asks(&said), None, "an answer asks nothing");
        assert_eq!(port(&query()), None, "a question says nothing");
        let parsed = Packet::parse(&said).expect("a packet");
        assert_eq!(parsed.id(), 9);
        let text = format!("{parsed:?}");
        assert!(text.contains(&u32::from(speaker.address).to_string()), "{text}");
    }

    #[test]
    fn strange_names_and_bytes() {
        let speaker = Speaker { name: "a b.c/\u{fc}", address: Ipv4Addr::LOCALHOST, port: 1 };
        assert_eq!(answer(0, &speaker).as_deref().and_then(port), Some(1));
        assert!(answer(0, &Speaker { name: &"x".repeat(200), ..speaker }).is_some());
        let good = query();
        for length in 0..good.len() {
            assert_eq!(asks(&good[..length]), None);
        }
        assert_eq!(asks(&[0xff; 64]), None);
        assert_eq!(port(&[0xc0; 64]), None);
    }
}
