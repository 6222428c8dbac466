//! `discovery new`: a token of the service, and a secret of our own.

use clap::Args;

use crate::{
    cli::{failure::Failure, output::Output, session::Session},
    client::{ClientError, Endpoint},
    member,
    types::{hex, limits},
};

#[derive(Args)]
pub(in crate::cli) struct New {
    /// How many boards are to begin together: 1 to 9. Others may join them later.
    #[arg(long, default_value_t = 3, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u8).range(1..=i64::from(limits::DISCOVERY_SIZE_MAX)))]
    size: u8,
}

/// `http://HOST[:PORT]/<token>`.
struct Made {
    host: String,
    token: String,
}

pub(super) async fn run(arguments: &New, session: &Session) -> Result<(), Failure> {
    let answer = session.client.page("POST", &format!("/new?size={}", arguments.size)).await?;
    let mut made = Made::parse(&answer).ok_or_else(|| {
        Failure::error("the server's answer is no discovery URL: is it an older solder, or something else?")
    })?;
    let mut warning = None;
    if made.is_of_this_board() {
        match seen_from_outside(&made, session).await {
            Ok(host) => made.host = host,
            Err(why) => warning = Some(why),
        }
    }
    let Made { host, token } = made;
    let secret = hex(member::draw());
    Output::new().line(format_args!("http://{host}/{token}#{secret}"));
    if let Some(warning) = warning {
        eprintln!("warning: {warning}");
    }
    let (size, days) = (arguments.size, limits::DISCOVERY_TTL_S / 86_400);
    let boards = if size == 1 { "board" } else { "boards" };
    eprintln!(
        "Start `solder serve --discovery 'URL'` on {size} {boards}, within {days} days: then the URL ends."
    );
    eprintln!(
        "Who has the URL can join: what is behind the # is the secret, which was drawn here and never sent."
    );
    Ok(())
}

/// As other boards call a service that we reach by a loopback address. Errors: why they cannot.
async fn seen_from_outside(made: &Made, session: &Session) -> Result<String, String> {
    let address = member::address_outward().ok_or_else(|| {
        format!("no other board can reach {}: write an address of this one in its place", made.host)
    })?;
    let host = made.at(address);
    let endpoint: Endpoint = host.parse()?;
    let found = session.client.of(&endpoint).page("GET", &format!("/{}/_config/size", made.token)).await;
    match found {
        Ok(_) => Ok(host),
        Err(ClientError::Unreachable(_)) => Err(
            "no other board can reach the service, which listens on loopback only: start it with --listen-client-urls \
             http://[::]:2379"
                .to_owned(),
        ),
        Err(error) => Err(format!("no other board may reach {host}: {error}")),
    }
}

impl Made {
    fn parse(answer: &str) -> Option<Made> {
        let (host, token) = answer.trim().strip_prefix("http://")?.split_once('/')?;
        let is_token = token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit());
        let is_host = host.parse::<Endpoint>().is_ok();
        (is_token && is_host).then(|| Made { host: host.to_owned(), token: token.to_owned() })
    }

    fn is_of_this_board(&self) -> bool {
        let name = match self.host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => self.host.split(':').next().unwrap_or_default(),
        };
        name.eq_ignore_ascii_case("localhost")
            || name.parse().is_ok_and(|address: std::net::IpAddr| address.to_canonical().is_loopback())
    }

    /// The same port elsewhere.
    fn at(&self, address: std::net::IpAddr) -> String {
        let port = self.host.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(80);
        std::net::SocketAddr::new(address, port).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn what_a_service_answers() {
        let host = |answer: String| Made::parse(&answer).map(|made| made.host);
        assert_eq!(host(format!("http://board:2379/{TOKEN}")).as_deref(), Some("board:2379"));
        assert_eq!(host(format!("http://[fd00::1]:1/{TOKEN}\n")).as_deref(), Some("[fd00::1]:1"));
        for bad in ["", "404 page not found", "http://board/", "http://board/0123#x", "http://a b/"] {
            assert_eq!(host(format!("{bad}{TOKEN}x")), None, "{bad}");
        }
        assert_eq!(host(format!("http://a\x1b[2J/{TOKEN}")), None);
    }

    #[test]
    fn hosts_of_this_board() {
        for (host, expected, elsewhere) in [
            ("127.0.0.1:2379", true, "10.0.0.1:2379"),
            ("localhost", true, "10.0.0.1:80"),
            ("[::1]:4000", true, "10.0.0.1:4000"),
            ("10.0.0.9:1", false, "10.0.0.1:1"),
            ("board.local:1", false, "10.0.0.1:1"),
        ] {
            let made = Made { host: host.to_owned(), token: TOKEN.to_owned() };
            assert_eq!(made.is_of_this_board(), expected, "{host}");
            assert_eq!(made.at([10, 0, 0, 1].into()), elsewhere);
        }
    }
}
