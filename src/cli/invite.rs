//! `invite`: URLs that let boards into the cluster.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{failure::Failure, output::Output, print::Answer, session::Session};
use crate::rpc::{InviteListResponse, InviteRequest, InviteResponse, InviteRevokeRequest};

#[derive(Args)]
pub(super) struct Arguments {
    /// How long the URL lets boards in; 0: for ever, for an image that is put on every card.
    #[arg(long, value_name = "DURATION", default_value = "24h")]
    ttl: String,
    /// How many boards it lets in; 0: any number.
    #[arg(long, value_name = "N", default_value_t = 0)]
    uses: u32,
    /// What becomes of them: 'auto' votes if a voter is wanted, 'replica' holds the data only.
    #[arg(long, value_enum, default_value_t = Role::Auto)]
    role: Role,
    /// List the URLs that still let boards in, without their secrets.
    #[arg(long, conflicts_with_all = ["revoke", "uses", "role"])]
    list: bool,
    /// End one of them: its ID, or its URL.
    #[arg(long, value_name = "ID")]
    revoke: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Role {
    Auto,
    Replica,
}

pub(super) async fn run(arguments: Arguments, session: &Session) -> Result<(), Failure> {
    if arguments.list {
        let response = session.client.invites().await?;
        return session.print(&Answer::Invites(&response));
    }
    if let Some(id) = arguments.revoke.as_deref().map(id_in) {
        let id = id.to_owned();
        session.client.invite_revoke(&InviteRevokeRequest { id: id.clone() }).await?;
        Output::new().line(format_args!("invitation {id} revoked"));
        return Ok(());
    }
    let request = InviteRequest {
        ttl: seconds(&arguments.ttl)?,
        uses: arguments.uses,
        replica: arguments.role == Role::Replica,
    };
    let response = session.client.invite(&request).await?;
    session.print(&Answer::Invited(&response))?;
    advise(&request, &response);
    Ok(())
}

/// Beside the URL, which stands alone on standard output.
fn advise(request: &InviteRequest, response: &InviteResponse) {
    let who = match request.uses {
        0 => "any number of boards".to_owned(),
        1 => "one board".into(),
        uses => format!("{uses} boards"),
    };
    let time = match response.ttl {
        0 => "for ever".to_owned(),
        ttl => format!("for {}", in_words(ttl)),
    };
    eprintln!("lets in {who} {time}: on each, run\n  solder serve --discovery '{}'", response.url);
    if !response.near_url.is_empty() {
        eprintln!(
            "or, in this board's network, whatever its address is then\n  solder serve --discovery '{}'",
            response.near_url
        );
    }
    if response.ttl == 0 {
        eprintln!(
            "whoever reads this URL, on a lost card or in an image, can join the cluster and read all its data, until\n  solder \
             invite --revoke {}",
            response.id
        );
    }
}

/// What people have at hand may be the whole URL.
fn id_in(text: &str) -> &str {
    let path = text.trim().split('#').next().unwrap_or_default().trim_end_matches('/');
    path.rsplit('/').next().unwrap_or_default()
}

fn seconds(text: &str) -> Result<i64, Failure> {
    let wrong =
        || Failure::bad_arguments(format_args!("--ttl: {text:?} is not a duration like 24h or 30m, nor 0"));
    let time = match text {
        "0" => Duration::ZERO,
        text => crate::config::parse_duration(text).ok_or_else(wrong)?,
    };
    i64::try_from(time.as_millis().div_ceil(1000)).map_err(|_| wrong())
}

fn in_words(seconds: i64) -> String {
    match seconds {
        s if s % 86_400 == 0 && s > 86_400 => format!("{} days", s / 86_400),
        s if s % 3600 == 0 => format!("{} h", s / 3600),
        s if s % 60 == 0 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

/// What is left of it, as exact as people want it.
fn about(seconds: i64) -> String {
    match seconds {
        ..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", (seconds + 30) / 60),
        7_200..172_800 => format!("{} h", (seconds + 1_800) / 3_600),
        _ => format!("{} days", (seconds + 43_200) / 86_400),
    }
}

/// The rows of a list.
pub(super) fn rows(response: &InviteListResponse) -> Vec<Vec<String>> {
    let row = |invite: &crate::rpc::InviteStatus| {
        let left = if invite.ttl < 0 { "for ever".to_owned() } else { about(invite.ttl) };
        let uses = match invite.uses {
            0 => invite.used.to_string(),
            most => format!("{} of {most}", invite.used),
        };
        vec![invite.id.clone(), if invite.replica { "replica" } else { "auto" }.into(), uses, left]
    };
    response.invites.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write() {
        for text in ["89ab", "https://10.0.0.1:2380/join/89ab#00.11", "http://10.0.0.1:2379/89ab/", " 89ab "]
        {
            assert_eq!(id_in(text), "89ab", "{text}");
        }
        let seconds = |text| seconds(text).ok();
        for (text, is) in
            [("0", Some(0)), ("0s", Some(0)), ("1ms", Some(1)), ("24h", Some(86_400)), ("x", None)]
        {
            assert_eq!(seconds(text), is, "{text}");
        }
    }

    #[test]
    fn what_people_read() {
        let said = [7, 119, 150, 86_399, 604_790].map(about);
        assert_eq!(said, ["7 s", "119 s", "3 min", "24 h", "7 days"]);
    }
}
