//! Tells Cargo that `sqlx::migrate!` reads a directory: it would not notice a new file there.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
