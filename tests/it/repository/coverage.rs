//! Every function of the repository is run by a test here: queries are checked by PostgreSQL only.

use std::{fs, path::Path};

#[test]
fn every_function_of_the_repository_is_called_by_a_test_of_its_own() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let tests = texts(&root.join("tests/it/repository")).concat();
    let mut untested = Vec::new();
    for source in texts(&root.join("src/repository")) {
        for (at, start) in source.match_indices("pub async fn ") {
            let name = source[at + start.len()..].split(['(', '<']).next().unwrap();
            if !tests.contains(&format!("{name}(")) {
                untested.push(name.to_owned());
            }
        }
    }
    assert!(
        untested.is_empty(),
        "no test in tests/it/repository calls {untested:?}"
    );
}

/// The texts of all files below a folder.
fn texts(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => texts(&path),
            false => vec![fs::read_to_string(&path).unwrap()],
        })
        .collect()
}
