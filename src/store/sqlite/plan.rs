//! How SQLite carries out the statements that must not read a whole table. Tests only.

use rusqlite::Connection;

use super::{SqliteStore, authorization, enrolment, migrations};

/// The plan of a statement, one step a line, in an empty store.
fn plan(statement: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    drop(SqliteStore::open(&path).unwrap());
    let connection = Connection::open(&path).unwrap();
    let mut plan = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {statement}"))
        .unwrap();
    // Whatever stands for the parameters: they are values that nobody knows yet.
    let unbound = vec![rusqlite::types::Null; plan.parameter_count()];
    let steps: Vec<String> = plan
        .query_map(rusqlite::params_from_iter(unbound), |row| row.get(3))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    steps.join("\n")
}

#[test]
fn what_is_asked_for_often_or_of_large_tables_goes_through_an_index() {
    let counting = migrations::statement("0008_bindings", "UPDATE invitations");
    for (statement, step, times) in [
        (
            counting,
            "SEARCH enrolments USING INDEX enrolments_by_invitation (<expr>=?)",
            1,
        ),
        (
            enrolment::OF_INVITATION,
            "SEARCH enrolments USING INDEX enrolments_by_invitation (<expr>=?)",
            1,
        ),
        (
            enrolment::OF_OTHER_INVITATIONS,
            "SEARCH enrolments USING INDEX enrolments_by_principal (principal=? AND <expr>",
            2,
        ),
        (
            authorization::IN_PROCESSING,
            "SCAN authorizations USING INDEX authorizations_in_processing",
            1,
        ),
    ] {
        let plan = plan(statement);
        assert_eq!(plan.matches(step).count(), times, "{statement}\n{plan}");
        assert!(!plan.contains("SCAN enrolments"), "{statement}\n{plan}");
    }
}
