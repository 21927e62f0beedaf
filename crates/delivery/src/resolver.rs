//! Resolving host names: the trait, and its implementation over the system's configuration.
//!
//! A resolver only says which addresses a name has. Whether they may be dialled is judged by the
//! guard, which also bounds the time that an answer may take.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use hickory_resolver::{
    Hosts, TokioResolver,
    config::{
        ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
        ResolverOpts,
    },
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::{
        op::Query,
        rr::{Name, RecordType},
    },
    system_conf::read_system_conf,
};
use tokio::time::Instant;

use crate::recent_names::RecentNames;

/// How long one question to a name server may take before it is asked again. It goes into the
/// guard's limit more than once, so that one lost packet does not fail an attempt.
const QUESTION_TIMEOUT: Duration = Duration::from_millis(1500);
/// How often a question is asked again.
const QUESTION_REPEATS: usize = 2;

/// Finds the addresses of host names.
#[async_trait]
pub trait Resolve: Send + Sync + 'static {
    /// Every address of `name`, in the order in which they should be tried. `name` is in lower-case
    /// ASCII, may end in a dot, and is no address. The caller bounds the time and may drop the
    /// future.
    async fn resolve(&self, name: &str) -> Result<Arc<[IpAddr]>, ResolveError>;
}

/// Why there are no addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The name does not exist, or has no addresses.
    #[error("the name does not resolve")]
    NotFound,
    /// Nobody could be asked, or what they said was an error.
    #[error("the resolver failed")]
    Failed,
}

/// Resolves as the system is configured: its hosts file, then its name servers. Answers are kept
/// for their time to live. Never blocks a thread.
///
/// A name with a dot is taken as it is; one without is also looked for in the system's search
/// domains, since such names mean something in the local network alone.
pub struct SystemResolver {
    recent: RecentNames,
    hosts: Hosts,
    dns: TokioResolver,
}

/// The resolver could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("cannot set up the DNS resolver")]
pub struct ResolverSetupError(#[source] NetError);

impl SystemResolver {
    /// Reads the system's configuration. `dns_server` replaces the name servers and search domains
    /// of it; the hosts file goes first in any case.
    pub fn new(dns_server: Option<SocketAddr>) -> Result<Self, ResolverSetupError> {
        let (config, mut options) = match dns_server {
            Some(server) => (asking(server), ResolverOpts::default()),
            None => system_configuration(),
        };
        options.timeout = options.timeout.min(QUESTION_TIMEOUT);
        options.attempts = options.attempts.max(QUESTION_REPEATS);
        // IPv4 is tried first: that a server has an IPv6 address without a way out to the world is
        // common, the reverse is rare.
        options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
        // Asked here, before the name servers: a name that the file knows is not looked up at all.
        options.use_hosts_file = ResolveHosts::Never;
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        Ok(Self {
            recent: RecentNames::default(),
            hosts: read_hosts_file(),
            dns: builder.build().map_err(ResolverSetupError)?,
        })
    }

    fn in_hosts_file(&self, name: &Name) -> Option<Arc<[IpAddr]>> {
        let addresses: Arc<[IpAddr]> = [RecordType::A, RecordType::AAAA]
            .into_iter()
            .filter_map(|kind| {
                self.hosts
                    .lookup_static_host(&Query::query(name.clone(), kind))
            })
            .flat_map(|lookup| lookup.answers().to_vec())
            .filter_map(|record| record.data.ip_addr())
            .collect();
        (!addresses.is_empty()).then_some(addresses)
    }
}

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, asked: &str) -> Result<Arc<[IpAddr]>, ResolveError> {
        if let Some(addresses) = self.recent.get(asked, Instant::now()) {
            return Ok(addresses);
        }
        // What DNS cannot express, like a label of 64 characters, resolves nowhere.
        let mut name = Name::from_ascii(asked).map_err(|_| ResolveError::NotFound)?;
        if let Some(addresses) = self.in_hosts_file(&name) {
            return Ok(addresses);
        }
        if name.num_labels() > 1 {
            name.set_fqdn(true);
        }
        match self.dns.lookup_ip(name).await {
            Ok(lookup) => {
                let addresses: Arc<[IpAddr]> = lookup.iter().collect();
                let until = Instant::from_std(lookup.valid_until());
                self.recent.keep(asked, &addresses, until);
                Ok(addresses)
            }
            Err(error) if error.is_no_records_found() => Err(ResolveError::NotFound),
            Err(error) => {
                tracing::debug!(%error, "the resolver failed");
                Err(ResolveError::Failed)
            }
        }
    }
}

/// The system's name servers, or the one of this machine where it names none (resolv.conf(5)).
fn system_configuration() -> (ResolverConfig, ResolverOpts) {
    read_system_conf().unwrap_or_else(|error| {
        tracing::warn!(%error, "no system DNS configuration: asking the name server of this machine");
        let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 53));
        (asking(local), ResolverOpts::default())
    })
}

fn asking(server: SocketAddr) -> ResolverConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()]
        .map(|mut connection| {
            connection.port = server.port();
            connection
        })
        .to_vec();
    ResolverConfig::from_name_servers(vec![NameServerConfig::new(server.ip(), true, connections)])
}

fn read_hosts_file() -> Hosts {
    Hosts::from_system().unwrap_or_else(|error| {
        tracing::debug!(%error, "no hosts file");
        Hosts::default()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use tokio::net::UdpSocket;

    /// RFC 1035, section 4.1.1.
    const SERVER_FAILURE: u8 = 2;
    const NAME_ERROR: u8 = 3;

    /// Answers every question with `code` and nothing else.
    async fn name_server(code: u8) -> (SocketAddr, tokio::task::JoinHandle<()>) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut packet = [0; 512];
            while let Ok((length, asker)) = socket.recv_from(&mut packet).await {
                // It is a response, and recursion was available.
                packet[2] |= 0x80;
                packet[3] = 0x80 | code;
                socket.send_to(&packet[..length], asker).await.unwrap();
            }
        });
        (address, task)
    }

    /// Answers every question for IPv4 with 192.0.2.1 for `ttl_s`, and the others with nothing.
    async fn knowing_name_server(ttl_s: u8) -> (SocketAddr, Arc<AtomicUsize>) {
        const KIND_IPV4: u8 = 1;
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let questions = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&questions);
        tokio::spawn(async move {
            let mut packet = [0; 512];
            while let Ok((_, asker)) = socket.recv_from(&mut packet).await {
                let labels = packet[12..].iter().position(|&byte| byte == 0).unwrap();
                let end = 12 + labels + 5;
                let is_ipv4 = packet[end - 3] == KIND_IPV4;
                counter.fetch_add(usize::from(is_ipv4), Ordering::SeqCst);
                let mut answer = packet[..end].to_vec();
                answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, is_ipv4.into(), 0, 0, 0, 0]);
                if is_ipv4 {
                    let record = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, ttl_s, 0, 4, 192, 0, 2, 1];
                    answer.extend_from_slice(&record);
                }
                socket.send_to(&answer, asker).await.unwrap();
            }
        });
        (address, questions)
    }

    #[tokio::test]
    async fn an_answer_is_used_for_its_time_to_live() {
        for (ttl_s, expected) in [(200, 1), (0, 2)] {
            let (server, questions) = knowing_name_server(ttl_s).await;
            let resolver = SystemResolver::new(Some(server)).unwrap();
            for _ in 0..2 {
                let addresses = resolver.resolve("hooks.example.com").await.unwrap();
                assert_eq!(*addresses, ["192.0.2.1".parse::<IpAddr>().unwrap()]);
            }
            assert_eq!(questions.load(Ordering::SeqCst), expected, "{ttl_s} s");
        }
    }

    #[tokio::test]
    async fn localhost_is_this_machine_whatever_the_name_servers_say() {
        let (server, _task) = name_server(NAME_ERROR).await;
        let resolver = SystemResolver::new(Some(server)).unwrap();
        let addresses = resolver.resolve("localhost").await.unwrap();
        assert!(!addresses.is_empty() && addresses.iter().all(IpAddr::is_loopback));
    }

    #[tokio::test]
    async fn the_hosts_file_goes_first_and_alone() {
        let (server, _task) = name_server(NAME_ERROR).await;
        let mut resolver = SystemResolver::new(Some(server)).unwrap();
        let file = "192.0.2.7 Receiver.example.com receiver # here\n2001:db8::7 receiver\n";
        resolver.hosts = Hosts::default();
        resolver.hosts.read_hosts_conf(file.as_bytes()).unwrap();
        let [v4, v6]: [IpAddr; 2] = ["192.0.2.7", "2001:db8::7"].map(|text| text.parse().unwrap());
        for (name, expected) in [
            ("receiver", &[v4, v6][..]),
            ("receiver.", &[v4, v6]),
            ("receiver.example.com", &[v4]),
        ] {
            assert_eq!(*resolver.resolve(name).await.unwrap(), *expected, "{name}");
        }
    }

    #[tokio::test]
    async fn tells_a_name_that_does_not_exist() {
        let (server, _task) = name_server(NAME_ERROR).await;
        let resolver = SystemResolver::new(Some(server)).unwrap();
        let long_label = format!("{}.example.com", "a".repeat(64));
        for name in ["hooks.example.com", "hooks.example.com.", &long_label] {
            assert_eq!(
                resolver.resolve(name).await,
                Err(ResolveError::NotFound),
                "{name}"
            );
        }
    }

    #[tokio::test]
    async fn tells_a_resolver_that_fails() {
        let (server, _task) = name_server(SERVER_FAILURE).await;
        let resolver = SystemResolver::new(Some(server)).unwrap();
        assert_eq!(
            resolver.resolve("hooks.example.com").await,
            Err(ResolveError::Failed)
        );
    }
}
