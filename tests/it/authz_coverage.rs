//! Every operation of the OpenAPI document stands in the matrix of [`crate::authz`].

use std::collections::BTreeSet;

use crate::{authz::MATRIX, support::operations::OPERATIONS};

#[test]
fn every_documented_operation_is_in_the_matrix_once() {
    let documented: BTreeSet<_> = OPERATIONS.iter().map(|operation| &*operation.id).collect();
    let mut tested = BTreeSet::new();
    for row in MATRIX {
        assert!(
            tested.insert(row.operation),
            "{} stands twice in the matrix",
            row.operation
        );
    }
    let untested: Vec<_> = documented.difference(&tested).collect();
    assert!(
        untested.is_empty(),
        "add a row to MATRIX in tests/it/authz.rs for {untested:?}"
    );
    let unknown: Vec<_> = tested.difference(&documented).collect();
    assert!(
        unknown.is_empty(),
        "the document has no operations {unknown:?}"
    );
}
