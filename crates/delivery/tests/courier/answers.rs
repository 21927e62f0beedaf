//! What comes back, from the plain to the hostile, and what the courier makes of it.

use tidings_delivery::{RESPONSE_BODY_BYTES_MAX, RESPONSE_HEAD_BYTES_MAX};
use tidings_domain::attempt::{
    AttemptError::{Connect, Protocol, Redirect, Status, Timeout},
    AttemptOutcome::Succeeded,
    RESPONSE_BODY_CHARS_MAX,
};
use tokio::{io::AsyncWriteExt as _, sync::mpsc};

use crate::receiver::{
    OK, Receiver, SHORT, courier, deliver, deliver_once, failed, hasty_courier, patiently,
};

#[tokio::test]
async fn a_2xx_succeeds_and_its_answer_is_kept() {
    let receiver = Receiver::answering(
        "HTTP/1.1 202 Accepted\r\nX-Tag: one\r\nServer: caf\u{e9}\r\nx-tag: two\r\n\
         Content-Length: 5\r\n\r\nth\0x!",
    )
    .await;
    let report = deliver_once(&receiver.url("/")).await;
    assert_eq!(report.outcome, Succeeded);
    assert_eq!(report.response.status, Some(202));
    assert_eq!(report.response.body, "th\u{fffd}x!");
    assert!(!report.response.body_truncated);
    assert_eq!(report.retry_after_ms, None);
    let mut headers = report.response.headers;
    headers.sort();
    let expected = [
        ("content-length", "5"),
        ("server", "caf\u{e9}"),
        ("x-tag", "one"),
        ("x-tag", "two"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(headers, expected);
}

#[tokio::test]
async fn every_other_status_fails_and_redirects_are_not_followed() {
    let elsewhere = Receiver::answering(OK).await;
    for (status, error) in [
        (300, Redirect),
        (301, Redirect),
        (302, Redirect),
        (303, Redirect),
        (307, Redirect),
        (308, Redirect),
        (400, Status),
        (404, Status),
        (410, Status),
        (429, Status),
        (500, Status),
        (503, Status),
        (599, Status),
        (999, Status),
    ] {
        let receiver = Receiver::answering(format!(
            "HTTP/1.1 {status} X\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
            elsewhere.url("/")
        ))
        .await;
        let report = deliver_once(&receiver.url("/")).await;
        assert_eq!(report.outcome, failed(error), "{status}");
        assert_eq!(report.response.status, Some(status));
    }
    assert_eq!(elsewhere.connections(), 0);
}

#[tokio::test]
async fn retry_after_is_read_in_seconds_and_as_a_date() {
    // The attempt's time is 2023-11-14T22:13:20Z.
    for (value, expected) in [
        ("120", Some(120_000)),
        ("Tue, 14 Nov 2023 22:15:00 GMT", Some(100_000)),
        ("Tue, 14 Nov 2023 22:00:00 GMT", Some(0)),
        ("in a while", None),
    ] {
        let receiver = Receiver::answering(format!(
            "HTTP/1.1 503 X\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n"
        ))
        .await;
        let report = deliver_once(&receiver.url("/")).await;
        assert_eq!(report.retry_after_ms, expected, "{value}");
    }
}

#[tokio::test]
async fn interim_answers_are_passed_over() {
    let receiver = Receiver::answering(format!(
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n{OK}"
    ))
    .await;
    let report = deliver_once(&receiver.url("/")).await;
    assert_eq!(
        (report.outcome, report.response.status),
        (Succeeded, Some(200))
    );
    assert_eq!(report.response.body, "ok");
}

#[tokio::test]
async fn interim_answers_without_end_are_cut_off() {
    let receiver = Receiver::with(|_, mut visit| async move {
        visit.request().await;
        while visit
            .write("HTTP/1.1 102 Processing\r\n\r\n".repeat(1000))
            .await
        {}
    })
    .await;
    let report = deliver_once(&receiver.url("/")).await;
    assert_eq!(report.outcome, failed(Protocol));
}

#[tokio::test]
async fn a_body_may_end_with_the_connection_or_come_in_chunks() {
    for answer in [
        "HTTP/1.0 200 OK\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nT: 1\r\n\r\n",
    ] {
        let receiver = Receiver::answering_once(answer).await;
        let report = deliver_once(&receiver.url("/")).await;
        assert_eq!(
            (report.outcome, &*report.response.body),
            (Succeeded, "hello"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn an_encoded_body_was_not_asked_for_and_is_not_decoded() {
    let receiver = Receiver::answering(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x02z",
    )
    .await;
    let report = deliver_once(&receiver.url("/")).await;
    assert_eq!(
        (report.outcome, &*report.response.body),
        (Succeeded, "\x1f\x02z")
    );
    assert_eq!(
        receiver.next_request().await.header("accept-encoding"),
        None
    );
}

#[tokio::test]
async fn the_log_keeps_4000_characters_not_bytes() {
    for (body, kept, truncated) in [
        (
            "€".repeat(RESPONSE_BODY_CHARS_MAX),
            RESPONSE_BODY_CHARS_MAX,
            false,
        ),
        (
            "€".repeat(RESPONSE_BODY_CHARS_MAX + 1),
            RESPONSE_BODY_CHARS_MAX,
            true,
        ),
        ("🦀".repeat(10_000), RESPONSE_BODY_CHARS_MAX, true),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        let receiver = Receiver::answering(format!("{head}{body}")).await;
        let report = deliver_once(&receiver.url("/")).await;
        assert_eq!(report.response.body.chars().count(), kept);
        assert!(body.starts_with(&report.response.body));
        assert_eq!(report.response.body_truncated, truncated);
    }
}

#[tokio::test]
async fn an_endless_body_is_cut_and_the_status_decides() {
    for (status, outcome) in [(200, Succeeded), (500, failed(Status))] {
        let (closed, mut is_closed) = mpsc::channel(1);
        let receiver = Receiver::with(move |_, mut visit| {
            let closed = closed.clone();
            async move {
                visit.request().await;
                visit.write(format!("HTTP/1.1 {status} X\r\n\r\n")).await;
                while visit.write(vec![b'x'; 8192]).await {}
                closed.send(()).await.unwrap();
            }
        })
        .await;
        let report = deliver_once(&receiver.url("/")).await;
        assert_eq!(report.outcome, outcome);
        assert!(report.response.body_truncated);
        patiently(is_closed.recv()).await.unwrap();
    }
}

#[tokio::test]
async fn nothing_beyond_the_limit_is_waited_for() {
    let (closed, mut is_closed) = mpsc::channel(1);
    let receiver = Receiver::with(move |_, mut visit| {
        let closed = closed.clone();
        async move {
            visit.request().await;
            let begun = "x".repeat(RESPONSE_BODY_BYTES_MAX);
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n";
            visit.write(format!("{head}{begun}")).await;
            visit.closed().await;
            closed.send(()).await.unwrap();
        }
    })
    .await;
    let report = deliver_once(&receiver.url("/")).await;
    assert_eq!(report.outcome, Succeeded);
    patiently(is_closed.recv()).await.unwrap();
}

#[tokio::test]
async fn a_connection_outlives_a_body_at_the_limit_but_not_beyond() {
    for (length, connections) in [
        (RESPONSE_BODY_BYTES_MAX, 1),
        (RESPONSE_BODY_BYTES_MAX + 1, 2),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        let receiver = Receiver::answering(head + &"x".repeat(length)).await;
        let courier = courier();
        for _ in 0..2 {
            let report = deliver(&courier, &receiver.url("/")).await;
            assert_eq!(report.outcome, Succeeded);
        }
        assert_eq!(receiver.connections(), connections, "{length} bytes");
    }
}

#[tokio::test]
async fn a_head_may_have_64_kib_and_no_more() {
    const AROUND: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: \r\n\r\n";
    for (fields, value_bytes, outcome) in [
        (0, RESPONSE_HEAD_BYTES_MAX - AROUND.len(), Succeeded),
        (
            0,
            RESPONSE_HEAD_BYTES_MAX - AROUND.len() + 1,
            failed(Protocol),
        ),
        (0, 1 << 20, failed(Protocol)),
        (600, 1, Succeeded),
        (5000, 1, failed(Protocol)),
    ] {
        let fields = "A: some value here\r\n".repeat(fields);
        let value = "v".repeat(value_bytes);
        let receiver = Receiver::answering(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{fields}X: {value}\r\n\r\n"
        ))
        .await;
        let report = deliver_once(&receiver.url("/")).await;
        assert_eq!(report.outcome, outcome, "{} + {value_bytes}", fields.len());
    }
}

#[tokio::test]
async fn what_is_not_http_is_a_protocol_error() {
    for answer in [
        "hello\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 abc OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nlots\r\nxx\r\n0\r\n\r\n",
    ] {
        let receiver = Receiver::answering(answer).await;
        let report = deliver_once(&receiver.url("/")).await;
        assert_eq!(report.outcome, failed(Protocol), "{answer}");
    }
}

#[tokio::test]
async fn a_greeting_of_another_protocol_is_a_protocol_error() {
    let receiver = Receiver::with(|_, mut visit| async move {
        visit.write("220 mail.example.com ESMTP\r\n").await;
        visit.closed().await;
    })
    .await;
    let report = deliver_once(&receiver.url("/")).await;
    assert_eq!(report.outcome, failed(Protocol));
    assert_eq!(receiver.connections(), 1);
}

#[tokio::test]
async fn a_receiver_that_never_answers_times_out() {
    let receiver = Receiver::with(|_, mut visit| async move {
        visit.request().await;
        visit.closed().await;
    })
    .await;
    let report = deliver(&hasty_courier(), &receiver.url("/")).await;
    assert_eq!(report.outcome, failed(Timeout));
    assert_eq!(report.response.status, None);
    assert!(report.request.signatures.is_some());
    assert!(u128::from(report.elapsed_ms) >= SHORT.as_millis());
}

#[tokio::test]
async fn a_body_that_drips_times_out_with_its_status_and_what_there_was() {
    let receiver = Receiver::with(|_, mut visit| async move {
        visit.request().await;
        visit
            .write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            .await;
        visit.closed().await;
    })
    .await;
    let report = deliver(&hasty_courier(), &receiver.url("/")).await;
    assert_eq!(report.outcome, failed(Timeout));
    assert_eq!(report.response.status, Some(200));
    assert_eq!(report.response.body, "half");
}

#[tokio::test]
async fn a_connection_that_breaks_is_a_connect_error() {
    for answer in [
        "",
        "HTTP/1.1 200 OK\r\nContent-Le",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    ] {
        for reset in [false, true] {
            let receiver = Receiver::with(move |_, mut visit| async move {
                visit.request().await;
                visit.write(answer).await;
                if reset {
                    visit.stream.set_zero_linger().unwrap();
                } else {
                    visit.stream.shutdown().await.unwrap();
                }
            })
            .await;
            let report = deliver_once(&receiver.url("/")).await;
            assert_eq!(report.outcome, failed(Connect), "{answer} {reset}");
            assert_eq!(receiver.connections(), 1);
            if answer.ends_with("half") {
                assert_eq!(report.response.status, Some(200));
            }
        }
    }
}

#[tokio::test]
async fn a_closed_port_is_a_connect_error() {
    let receiver = Receiver::answering(OK).await;
    let url = receiver.url("/");
    drop(receiver);
    let report = deliver_once(&url).await;
    assert_eq!(report.outcome, failed(Connect));
    assert_eq!(report.request.signatures, None);
    assert_eq!(report.response.status, None);
}

#[tokio::test]
async fn an_attempt_that_is_dropped_closes_its_connection() {
    let (sign, mut signs) = mpsc::channel(2);
    let receiver = Receiver::with(move |_, mut visit| {
        let sign = sign.clone();
        async move {
            visit.request().await;
            sign.send("asked").await.unwrap();
            visit.closed().await;
            sign.send("closed").await.unwrap();
        }
    })
    .await;
    let url = receiver.url("/");
    let attempt = tokio::spawn(async move { deliver_once(&url).await });
    assert_eq!(patiently(signs.recv()).await, Some("asked"));
    attempt.abort();
    assert_eq!(patiently(signs.recv()).await, Some("closed"));
}
