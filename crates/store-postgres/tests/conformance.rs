//! The conformance suite on a PostgreSQL database of each case's own.

mod harness;

use harness::PostgresHarness;

tidings_store_conformance::suite!(PostgresHarness);
