//! `member list|add|remove|update|promote|renew-key`.

use clap::{Args, Subcommand};

use super::{
    failure::Failure,
    go,
    output::Output,
    peer_url,
    print::{Answer, Done, Format},
    session::Session,
};
use crate::rpc::{
    Member, MemberAddRequest, MemberListRequest, MemberPromoteRequest, MemberRemoveRequest,
    MemberUpdateRequest,
};

#[derive(Subcommand)]
pub(super) enum Command {
    /// List the members.
    List {
        /// etcdctl takes what stands here, and does nothing with it.
        #[arg(hide = true)]
        ignored: Vec<String>,
    },
    /// Tell the cluster of a board that is to join it, and print what that board is to be started with.
    Add(Add),
    /// Remove a member for good.
    Remove {
        /// The member (hexadecimal).
        member: Vec<String>,
    },
    /// Change where the others find a member.
    Update(Update),
    /// Let a learner vote.
    Promote {
        /// The member (hexadecimal).
        member: Vec<String>,
    },
    /// Have the member at --endpoints make itself a new key, by which the others know it from then on.
    RenewKey,
}

#[derive(Args)]
pub(super) struct Add {
    /// How the board will call itself.
    name: Vec<String>,
    /// Where the other members will find it: http://HOST:PORT or https://HOST:PORT.
    #[arg(long, value_name = "URL,..")]
    peer_urls: Option<String>,
    /// It gets all data and does not vote, until it is promoted.
    #[arg(long)]
    learner: bool,
}

#[derive(Args)]
pub(super) struct Update {
    /// The member (hexadecimal).
    member: Vec<String>,
    /// Where the other members find it from now on.
    #[arg(long, value_name = "URL,..")]
    peer_urls: Option<String>,
}

/// Scripts that call it etcdctl get what that prints, whatever there is beside it.
pub(super) async fn run(command: Command, session: &Session, as_etcdctl: bool) -> Result<(), Failure> {
    match command {
        Command::List { .. } => list(session, as_etcdctl).await,
        // How the variables begin that the new board's server reads.
        Command::Add(arguments) => add(arguments, session, if as_etcdctl { "ETCD" } else { "SOLDER" }).await,
        Command::Remove { member } => {
            let id = id_of(&member)?;
            let response = session.client.member_remove(&MemberRemoveRequest { id }).await?;
            let (header, members) = (&response.header, &response.members);
            session.print(&Answer::MemberChanged { done: Done::Removed(id), header, members })
        }
        Command::Update(arguments) => update(arguments, session).await,
        Command::Promote { member } => {
            let id = id_of(&member)?;
            let response = session.client.member_promote(&MemberPromoteRequest { id }).await?;
            let (header, members) = (&response.header, &response.members);
            session.print(&Answer::MemberChanged { done: Done::Promoted(id), header, members })
        }
        Command::RenewKey => renew_key(session).await,
    }
}

/// Whose key it is says the endpoint: no member makes another's.
async fn renew_key(session: &Session) -> Result<(), Failure> {
    if session.endpoints().len() > 1 {
        let all: Vec<String> = session.endpoints().iter().map(ToString::to_string).collect();
        let text = format!("a key is renewed by its own member: give one endpoint, not [{}]", all.join(" "));
        return Err(Failure::bad_arguments(text));
    }
    let response = session.client.member_renew_key().await?;
    session.print(&Answer::KeyRenewed(&response))
}

async fn list(session: &Session, as_etcdctl: bool) -> Result<(), Failure> {
    let response = session.client.member_list(&MemberListRequest { linearizable: true }).await?;
    // Of etcd's members nobody knows why; and who cannot say it now lists them anyway.
    let roles = match as_etcdctl {
        true => Vec::new(),
        false => session.client.cluster_roles().await.map_or_else(|_| Vec::new(), |response| response.roles),
    };
    match roles.is_empty() {
        true => session.print(&Answer::Members(&response)),
        false => session.print(&Answer::Roles { members: &response, roles: &roles }),
    }
}

async fn add(arguments: Add, session: &Session, prefix: &str) -> Result<(), Failure> {
    let name = only_name(&arguments.name)?;
    let given = arguments.peer_urls.unwrap_or_default();
    let peer_urls = split(&given)?;
    let request = MemberAddRequest { peer_urls, is_learner: arguments.learner };
    let response = session.client.member_add(&request).await?;
    let id = response.member.as_ref().map_or(0, |member| member.id);
    let (header, members) = (&response.header, &response.members);
    session.print(&Answer::MemberChanged { done: Done::Added(response.member.as_ref()), header, members })?;
    if session.style.format == Format::Simple {
        // The others have names, which may have changed since.
        let listed = session.client.member_list(&MemberListRequest { linearizable: true }).await?;
        tell_environment(prefix, (name, id), &given, &listed.members);
    }
    Ok(())
}

fn only_name(names: &[String]) -> Result<&str, Failure> {
    match names {
        [] => Err(Failure::bad_arguments("member name not provided")),
        [name] => Ok(name),
        names => {
            let urls = names.iter().filter(|name| name.to_lowercase().starts_with("http"));
            let hint: String = urls.map(|url| format!(", did you mean --peer-urls={url}")).collect();
            Err(Failure::bad_arguments(format_args!("too many arguments{hint}")))
        }
    }
}

/// What the new board is to be started with.
fn tell_environment(prefix: &str, (name, id): (&str, u64), peer_urls: &str, members: &[Member]) {
    let cluster: Vec<String> = members
        .iter()
        .flat_map(|member| {
            let name = if member.id == id { name } else { &member.name };
            member.peer_urls.iter().map(move |url| format!("{name}={url}"))
        })
        .collect();
    let quote = |text: &str| go::quote(text.as_bytes());
    let mut output = Output::new();
    output.line("");
    output.line(format_args!("{prefix}_NAME={}", quote(name)));
    output.line(format_args!("{prefix}_INITIAL_CLUSTER={}", quote(&cluster.join(","))));
    output.line(format_args!("{prefix}_INITIAL_ADVERTISE_PEER_URLS={}", quote(peer_urls)));
    output.line(format_args!("{prefix}_INITIAL_CLUSTER_STATE=\"existing\""));
}

async fn update(arguments: Update, session: &Session) -> Result<(), Failure> {
    let id = id_of(&arguments.member)?;
    let given = arguments.peer_urls.unwrap_or_default();
    let peer_urls = split(&given)?;
    let response = session.client.member_update(&MemberUpdateRequest { id, peer_urls }).await?;
    let (header, members) = (&response.header, &response.members);
    session.print(&Answer::MemberChanged { done: Done::Updated(id), header, members })
}

fn id_of(members: &[String]) -> Result<u64, Failure> {
    let [member] = members else { return Err(Failure::bad_arguments("member ID is not provided")) };
    go::parse_uint(member, 16).map_err(|error| {
        Failure::bad_arguments(format_args!("bad member ID arg ({error}), expecting ID in Hex"))
    })
}

/// Errors in the words of etcd's client, which does not ask the server about what is no URL.
fn split(urls: &str) -> Result<Vec<String>, Failure> {
    if urls.is_empty() {
        return Err(Failure::bad_arguments("member peer urls not provided"));
    }
    let urls: Vec<String> = urls.split(',').map(str::to_owned).collect();
    urls.iter().try_for_each(|url| peer_url::check(url)).map_err(Failure::error)?;
    Ok(urls)
}
