//! Following the cursor: everything exactly once, and what a cursor is not good for.

use crate::harness::{App, BOOTSTRAP, EVENTS, SUBSCRIPTIONS};

#[tokio::test]
async fn a_reader_sees_everything_once_whatever_the_limit() {
    let app = App::new();
    let key = app.admin("acme").await;
    let other = app.admin("other").await;
    let mut published = Vec::new();
    for number in 0..25 {
        published.push(app.publish(&key, &format!("a.t{}", number % 3)).await);
        app.publish(&other, "a.foreign").await;
    }
    for (order, limit) in [
        ("asc", 1),
        ("asc", 7),
        ("asc", 25),
        ("asc", 1000),
        ("desc", 4),
    ] {
        let mut seen = Vec::new();
        let mut path = format!("{EVENTS}?order={order}&limit={limit}");
        loop {
            let page = app.get(&key, &path).await;
            seen.extend(page.ids());
            let link = page.field("link").to_owned();
            if page.field("x-paging-has-more") == "false" {
                assert_eq!(link, "");
                break;
            }
            assert!(link.ends_with(r#">; rel="next""#), "{link}");
            assert!(link.contains(page.cursor()), "{link}");
            path = link[1..link.find('>').unwrap()].to_owned();
        }
        if order == "desc" {
            seen.reverse();
        }
        assert_eq!(seen, published, "{order} {limit}");
    }
}

#[tokio::test]
async fn the_empty_answer_has_a_cursor_to_go_on_from() {
    let app = App::new();
    let key = app.admin("acme").await;
    let empty = app.get(&key, EVENTS).await;
    assert_eq!(
        (empty.text(), empty.field("x-paging-has-more")),
        ("[]", "false")
    );
    let first = app.publish(&key, "a").await;
    let page = app
        .get(&key, &format!("{EVENTS}?cursor={}", empty.cursor()))
        .await;
    assert_eq!(page.ids(), [first]);
    let at_end = app
        .get(&key, &format!("{EVENTS}?cursor={}", page.cursor()))
        .await;
    assert_eq!(at_end.text(), "[]");
    let second = app.publish(&key, "a").await;
    app.clock.advance(7 * 24 * 3_600_000);
    let page = app
        .get(
            &key,
            &format!("{EVENTS}?cursor={}&limit=5&wait=1", at_end.cursor()),
        )
        .await;
    assert_eq!(page.ids(), [second]);
}

#[tokio::test]
async fn now_starts_at_the_present() {
    let app = App::new();
    let key = app.admin("acme").await;
    app.publish(&key, "a.old").await;
    let now = app
        .get(&key, &format!("{EVENTS}?cursor=now&type=a.*"))
        .await;
    assert_eq!(now.text(), "[]");
    app.publish(&key, "b.other").await;
    let new = app.publish(&key, "a.new").await;
    let page = app
        .get(&key, &format!("{EVENTS}?cursor={}", now.cursor()))
        .await;
    assert_eq!(page.ids(), [new], "with its own filters");
}

#[tokio::test]
async fn it_carries_filters_and_order_and_takes_no_others() {
    let app = App::new();
    let key = app.admin("acme").await;
    for event_type in ["a.x", "b.x", "a.y", "b.y"] {
        app.publish(&key, event_type).await;
    }
    let first = app
        .get(
            &key,
            &format!("{EVENTS}?type=b.*&type=a.x&limit=1&order=desc"),
        )
        .await;
    let cursor = first.cursor();
    for same in [
        "",
        "&type=a.x,b.*",
        "&type=b.*&type=A.X&type=a.x",
        "&order=desc",
        "&limit=50",
        "&wait=0",
    ] {
        let page = app
            .get(&key, &format!("{EVENTS}?cursor={cursor}{same}"))
            .await;
        assert_eq!(page.ids().len(), 2, "{same}");
    }
    for other in ["&type=a.*", "&type=*", "&type=b.*", "&order=asc"] {
        let page = app
            .get(&key, &format!("{EVENTS}?cursor={cursor}{other}"))
            .await;
        page.problem(400, "invalid_cursor");
    }
}

#[tokio::test]
async fn changed_and_foreign_cursors_are_a_400() {
    let app = App::new();
    let (key, other) = (app.admin("acme").await, app.admin("other").await);
    app.publish(&key, "a").await;
    let cursor = app.get(&key, EVENTS).await.cursor().to_owned();
    for index in [0, cursor.len() / 2, cursor.len() - 1] {
        let mut changed = cursor.clone().into_bytes();
        changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(changed).unwrap();
        let page = app.get(&key, &format!("{EVENTS}?cursor={changed}")).await;
        page.problem(400, "invalid_cursor");
    }
    for bad in [
        "",
        "x",
        "NOW",
        "%00",
        "%ff",
        &cursor[1..],
        &format!("{cursor}AAAA"),
        &"A".repeat(40_000),
    ] {
        app.get(&key, &format!("{EVENTS}?cursor={bad}"))
            .await
            .problem(400, "invalid_cursor");
    }
    app.get(&other, &format!("{EVENTS}?cursor={cursor}"))
        .await
        .problem(400, "invalid_cursor");
    let named = format!("{EVENTS}?companyId=other&cursor={cursor}");
    app.get(BOOTSTRAP, &named)
        .await
        .problem(400, "invalid_cursor");
    app.get(&key, &format!("{SUBSCRIPTIONS}?cursor={cursor}"))
        .await
        .problem(400, "invalid_cursor");
    app.get(&key, &format!("{SUBSCRIPTIONS}?cursor=now"))
        .await
        .problem(400, "invalid_cursor");
    let platform = app
        .get(BOOTSTRAP, &format!("{EVENTS}?cursor={cursor}"))
        .await;
    assert_eq!(platform.status, 200, "the cursor says whose");
}

#[tokio::test]
async fn the_platforms_next_page_names_the_company() {
    let app = App::new();
    let key = app.admin("acme").await;
    for _ in 0..2 {
        app.publish(&key, "a").await;
    }
    let page = app
        .get(BOOTSTRAP, &format!("{EVENTS}?companyId=acme&limit=1"))
        .await;
    let link = page.field("link");
    assert!(link.contains("companyId=acme"), "{link}");
    let path = &link[1..link.find('>').unwrap()];
    assert_eq!(app.get(BOOTSTRAP, path).await.ids().len(), 1);
}
