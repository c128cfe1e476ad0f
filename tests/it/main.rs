//! The one integration binary: everything in it shares one build and one PostgreSQL.

// `cfg(test)` tells clippy that the helpers are tests too, and may unwrap.
#[cfg(test)]
mod api;
#[cfg(test)]
mod architecture;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod authz;
#[cfg(test)]
mod authz_coverage;
#[cfg(test)]
mod binary;
#[cfg(test)]
mod compat;
#[cfg(test)]
mod harness;
#[cfg(test)]
mod infra;
#[cfg(test)]
mod openapi;
#[cfg(test)]
mod races;
#[cfg(test)]
mod repository;
#[cfg(test)]
mod services;
#[cfg(test)]
mod support;
#[cfg(test)]
mod worker;
