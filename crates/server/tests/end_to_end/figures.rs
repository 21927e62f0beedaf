//! The figures that people look at: what was counted in memory is in the file when a server has
//! stopped.

use std::path::Path;

use serde_json::json;

use crate::{program::Server, receiver::Receiver, scratch::Scratch};

/// What all companies together published and had delivered, by the minute.
fn written(database: &Path) -> (i64, i64) {
    let database = rusqlite::Connection::open(database).unwrap();
    let sums = "SELECT coalesce(sum(published), 0), coalesce(sum(succeeded), 0) FROM figures \
                WHERE resolution = 1 AND subscription = 0 AND company_id = ''";
    database
        .query_row(sums, [], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
}

#[tokio::test]
async fn a_server_that_stops_has_written_its_figures() {
    let scratch = Scratch::new();
    let receiver = Receiver::accepting().await;
    let server = Server::start(scratch.path(), &[]).await;
    server.subscribe(receiver.url()).await;
    for _ in 0..3 {
        assert_eq!(server.publish(&json!({})).await.status, 201);
    }
    receiver.wait_for(3).await;
    server.stop().await;
    assert_eq!(written(&scratch.file("tidings.db")), (3, 3));

    let server = Server::start(scratch.path(), &[]).await;
    assert_eq!(server.publish(&json!({})).await.status, 201);
    receiver.wait_for(4).await;
    server.stop().await;
    assert_eq!(written(&scratch.file("tidings.db")), (4, 4), "they add up");
}
