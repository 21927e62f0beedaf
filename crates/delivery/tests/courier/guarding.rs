//! Where a delivery may go: names, addresses, and names that change their mind.

use std::sync::Arc;

use tidings_delivery::{Courier, CourierOptions, Resolve, TargetRefusal};
use tidings_domain::{
    address::AddressRules,
    attempt::{
        AttemptError::{BlockedAddress, Connect, Dns},
        AttemptOutcome::Succeeded,
    },
    target::Environment,
};

use crate::{
    names::{Says, ScriptedNames, says},
    receiver::{OK, Receiver, SHORT, address, deliver, deliver_once, development, failed, target},
};

const NAME: &str = "hooks.example.com";

fn in_production(resolver: Arc<dyn Resolve>) -> Courier {
    Courier::new(CourierOptions {
        rules: AddressRules::new(Environment::Production, Vec::new(), Vec::new()),
        resolver,
        ..development()
    })
}

fn in_development(resolver: Arc<dyn Resolve>) -> Courier {
    Courier::new(CourierOptions {
        resolver,
        ..development()
    })
}

#[tokio::test]
async fn a_name_without_an_address_is_a_dns_error() {
    for says in [says(&[]), Says::Fails] {
        let courier = in_development(ScriptedNames::with(NAME, &[says]));
        for name in [NAME, "unknown.example.com"] {
            let report = deliver(&courier, &format!("http://{name}/")).await;
            assert_eq!(report.outcome, failed(Dns), "{name}");
            assert_eq!(report.request.signatures, None);
        }
    }
}

#[tokio::test]
async fn a_silent_resolver_is_a_dns_error_however_short_the_attempt() {
    let courier = Courier::new(CourierOptions {
        resolver: ScriptedNames::with(NAME, &[Says::Nothing]),
        attempt_timeout: SHORT,
        ..development()
    });
    let report = deliver(&courier, &format!("http://{NAME}/")).await;
    assert_eq!(report.outcome, failed(Dns));
}

#[tokio::test(start_paused = true)]
async fn a_silent_resolver_is_not_waited_for_without_end() {
    let courier = in_production(ScriptedNames::with(NAME, &[Says::Nothing]));
    let report = deliver(&courier, &format!("https://{NAME}/")).await;
    assert_eq!((report.outcome, report.elapsed_ms / 1000), (failed(Dns), 5));
    let refusal = courier
        .check_target(&target(&format!("https://{NAME}/")))
        .await;
    let expected = TargetRefusal::ResolverSilent { name: NAME.into() };
    assert_eq!(refusal, Err(expected));
}

#[tokio::test]
async fn one_private_address_among_public_ones_blocks_the_name() {
    for addresses in [
        &["93.184.215.14", "10.0.0.1"][..],
        &["127.0.0.1"],
        &["93.184.215.14", "::1"],
        &["::ffff:192.168.0.1"],
        &["169.254.169.254"],
    ] {
        let courier = in_production(ScriptedNames::resolving(NAME, addresses));
        let url = format!("https://{NAME}/");
        let report = deliver(&courier, &url).await;
        assert_eq!(report.outcome, failed(BlockedAddress), "{addresses:?}");
        let refusal = courier.check_target(&target(&url)).await;
        assert!(
            matches!(refusal, Err(TargetRefusal::Refused(_))),
            "{addresses:?}"
        );
    }
}

#[tokio::test]
async fn literal_addresses_and_local_names_are_judged_unresolved() {
    let receiver = Receiver::answering(OK).await;
    let port = receiver.address.port();
    let names = Arc::new(ScriptedNames::default());
    let courier = in_production(Arc::clone(&names) as Arc<dyn Resolve>);
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "2130706433",
        "017700000001",
        "127.0.0.1.",
        "127。0。0。1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "printer.local",
        "metadata.google.internal",
    ] {
        let url = format!("https://{host}:{port}/");
        let report = deliver(&courier, &url).await;
        assert_eq!(report.outcome, failed(BlockedAddress), "{host}");
        assert!(courier.check_target(&target(&url)).await.is_err(), "{host}");
    }
    let report = deliver(&courier, &receiver.url("/")).await;
    assert_eq!(report.outcome, failed(BlockedAddress), "http in production");
    assert_eq!((names.questions(), receiver.connections()), (0, 0));
}

/// A name that is public when it is judged and private a moment later gets nobody inside: it is
/// asked once an attempt, and the address that was judged is the one that is dialled.
#[tokio::test]
async fn a_name_that_changes_its_mind_is_judged_anew_each_time() {
    let receiver = Receiver::answering(OK).await;
    let names = ScriptedNames::with(
        NAME,
        &[
            says(&["127.0.0.1"]),
            says(&["127.0.0.66"]),
            says(&["127.0.0.1"]),
        ],
    );
    let courier = Courier::new(CourierOptions {
        rules: AddressRules::new(
            Environment::Development,
            Vec::new(),
            vec!["127.0.0.66/32".parse().unwrap()],
        ),
        resolver: Arc::clone(&names) as Arc<dyn Resolve>,
        ..development()
    });
    let url = format!("http://{NAME}:{}/", receiver.address.port());
    assert_eq!(deliver(&courier, &url).await.outcome, Succeeded);
    assert_eq!(names.questions(), 1);
    // There is an idle connection to the name by now; it is not used.
    assert_eq!(
        deliver(&courier, &url).await.outcome,
        failed(BlockedAddress)
    );
    assert_eq!(deliver(&courier, &url).await.outcome, Succeeded);
    assert_eq!((names.questions(), receiver.connections()), (3, 1));
}

#[tokio::test]
async fn an_idle_connection_is_used_for_its_own_address_alone() {
    let old = Receiver::answering(OK).await;
    let port = old.address.port();
    let new = Receiver::at(&format!("127.0.0.2:{port}"), |_, mut visit| async move {
        visit
            .answer_all("HTTP/1.1 201 New\r\nContent-Length: 0\r\n\r\n")
            .await;
    })
    .await;
    let moving = [says(&["127.0.0.1"]), says(&["127.0.0.2"])];
    let courier = in_development(ScriptedNames::with(NAME, &moving));
    let url = format!("http://{NAME}:{port}/");
    assert_eq!(deliver(&courier, &url).await.response.status, Some(200));
    assert_eq!(deliver(&courier, &url).await.response.status, Some(201));
    assert_eq!(deliver(&courier, &url).await.response.status, Some(201));
    assert_eq!((old.connections(), new.connections()), (1, 1));
}

#[tokio::test]
async fn the_addresses_of_a_name_are_tried_in_turn() {
    let receiver = Receiver::answering(OK).await;
    let port = receiver.address.port();
    let names = ScriptedNames::resolving(NAME, &["127.0.0.9", "127.0.0.10", "127.0.0.1"]);
    let url = format!("http://{NAME}:{port}/");
    assert_eq!(
        deliver(&in_development(names), &url).await.outcome,
        Succeeded
    );
    let names = ScriptedNames::resolving(NAME, &["127.0.0.9", "127.0.0.10"]);
    assert_eq!(
        deliver(&in_development(names), &url).await.outcome,
        failed(Connect)
    );
}

#[tokio::test]
async fn the_host_header_has_the_name_and_not_the_address() {
    let receiver = Receiver::answering(OK).await;
    let host = format!("{NAME}:{}", receiver.address.port());
    let courier = in_development(ScriptedNames::resolving(NAME, &["127.0.0.1"]));
    deliver(&courier, &format!("http://{host}/")).await;
    assert_eq!(receiver.next_request().await.header("host"), Some(&*host));
}

#[tokio::test]
async fn production_refuses_a_new_target_that_cannot_be_judged() {
    let names = ScriptedNames::resolving(NAME, &["93.184.215.14", "2606:2800:21f:cb07::1"]);
    let courier = in_production(names);
    assert_eq!(
        courier
            .check_target(&target("https://hooks.example.com/x"))
            .await,
        Ok(())
    );
    let unknown = courier
        .check_target(&target("https://unknown.example.com/"))
        .await;
    assert_eq!(
        unknown.unwrap_err().to_string(),
        "the host unknown.example.com does not resolve to any address; check the name"
    );
    let courier = in_production(ScriptedNames::with(NAME, &[Says::Fails]));
    let failing = courier
        .check_target(&target("https://hooks.example.com/"))
        .await;
    assert_eq!(
        failing.unwrap_err().to_string(),
        "the host hooks.example.com could not be checked because the DNS lookup failed; \
         try again later"
    );
}

#[tokio::test]
async fn development_accepts_a_target_that_is_not_there_yet() {
    let courier = in_development(ScriptedNames::with(NAME, &[Says::Fails]));
    for url in [
        "http://hooks.example.com",
        "http://unknown.example.com",
        "http://localhost:3000",
        "http://10.0.0.1",
        "http://printer.local",
    ] {
        assert_eq!(courier.check_target(&target(url)).await, Ok(()), "{url}");
    }
    assert!(
        courier
            .check_target(&target("http://0.0.0.0"))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn development_reaches_what_is_private() {
    let receiver = Receiver::answering(OK).await;
    assert!(receiver.address.ip() == address("127.0.0.1"));
    assert_eq!(deliver_once(&receiver.url("/")).await.outcome, Succeeded);
}
