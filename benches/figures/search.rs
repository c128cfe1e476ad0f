//! Searching ten thousand and a million users, on a server of its own.

use std::{
    cell::RefCell,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use sqlx::{Connection as _, PgConnection, postgres::PgConnectOptions};

use crate::{
    bench::{Bench, Times},
    client::{Load, get},
    export, import,
    population::{Names, populate},
    report::{Figure, Report},
    server::{self, Server},
};

/// How many users, one after the other.
const SIZES: [usize; 2] = [10_000, 1_000_000];
const CONNECTIONS: usize = 16;
/// Pages before the one that is measured, by cursor.
const PAGES: usize = 10_000;
/// Writes in a row.
const WRITES: usize = 1_000;

/// Measures searches, and what their indexes cost.
pub async fn run(directory: &Path, times: Times) -> Result<Report> {
    let server = Server::start(directory, server::ANY_PORT).await?;
    let database = server::database(directory)?;
    let names = Names::new();
    let mut report = Report::default();
    let mut start = 0;
    let mut server = server;
    for size in SIZES {
        eprintln!("making {size} users");
        populate(&database, &names, start..size).await?;
        start = size;
        let ids = first_ids(&database).await?;
        let mut bench = Bench::new(directory, times, server, ids).await?;
        bench.log_in().await?;
        let is_judged = size == SIZES[SIZES.len() - 1];
        searches(&bench, &names, size, is_judged, &mut report).await?;
        for (index, mebibytes) in sizes(&database).await? {
            let figure = Figure::information(mebibytes, "MiB");
            report.add(&format!("{index}, {size} users"), None, &[figure]);
        }
        export::run(&bench, size, &mut report).await?;
        import::run(&bench, &names, size, &mut report).await?;
        if is_judged {
            let (with, without) = writes(&database).await?;
            report.add(
                "a write with the indexes of searches, to one without",
                None,
                &[
                    Figure::at_most(with / without, 2.0, "times"),
                    Figure::information(with, "ms with them"),
                    Figure::information(without, "ms without"),
                ],
            );
        }
        server = bench.server;
    }
    Ok(report)
}

async fn first_ids(database: &PgConnectOptions) -> Result<Vec<uuid::Uuid>> {
    let mut connection = PgConnection::connect_with(database).await?;
    let ids = sqlx::query_scalar("select id from users where role = 'AUTHENTICATED' limit 10")
        .fetch_all(&mut connection)
        .await?;
    connection.close().await?;
    Ok(ids)
}

/// Makes the path of the next request.
type Question<'a> = Box<dyn Fn(&mut StdRng) -> String + 'a>;

async fn searches(
    bench: &Bench<'_>,
    names: &Names,
    size: usize,
    is_judged: bool,
    report: &mut Report,
) -> Result<()> {
    let random = RefCell::new(StdRng::seed_from_u64(11));
    let deep = cursor_of_page(bench).await?;
    let works: [(&str, f64, Question<'_>); 8] = [
        (
            "q of 3 letters",
            50.0,
            Box::new(|random| {
                format!(
                    "/users/?q={}",
                    &names.last(random).get(..3).unwrap_or("smi")
                )
            }),
        ),
        (
            "q: a name",
            50.0,
            Box::new(|random| format!("/users/?q={}", names.last(random))),
        ),
        (
            "q: two names",
            50.0,
            Box::new(|random| format!("/users/?q={}+{}", names.first(random), names.last(random))),
        ),
        (
            "q with a slip",
            50.0,
            Box::new(|random| format!("/users/?q={}", slip(names.last(random), random))),
        ),
        (
            "*contains*",
            50.0,
            Box::new(|random| {
                let name = names.last(random).to_owned();
                let from = name.len().saturating_sub(4);
                let field =
                    ["nickname", "email", "first_name", "last_name"][random.random_range(0..4)];
                format!(
                    "/users/?{field}=*{}*",
                    name.get(from..)
                        .filter(|part| part.len() > 2)
                        .unwrap_or("son")
                )
            }),
        ),
        (
            "three filters and a sort",
            50.0,
            Box::new(|random| three_filters(names, random)),
        ),
        ("page 10,000 by cursor", 50.0, Box::new(|_| deep.clone())),
        (
            "suggest",
            20.0,
            Box::new(|random| {
                let name = names.last(random).to_owned();
                let letters = random.random_range(2..=name.len().max(2));
                format!("/users/suggest?q={}", name.get(..letters).unwrap_or(&name))
            }),
        ),
    ];
    let request = |path: &Question<'_>| get(&path(&mut random.borrow_mut()), Some(&bench.token));
    // What is asked often is in memory, as where a server has been running for a while.
    for (_, _, path) in &works {
        let request = || request(path);
        let load = Load {
            connections: CONNECTIONS,
            request: &request,
            expected: &[200],
        };
        bench.warm_up(&load).await?;
    }
    for (name, limit, path) in &works {
        let request = || request(path);
        let load = Load {
            connections: CONNECTIONS,
            request: &request,
            expected: &[200],
        };
        let measured = bench.measure(&load).await?;
        let figure = Figure::at_most(measured.p95, *limit, "ms p95");
        let figure = if is_judged {
            figure
        } else {
            figure.not_judged("fewer users")
        };
        report.add(&format!("{name}, {size} users"), Some(&measured), &[figure]);
    }
    Ok(())
}

/// The request for a page far down a list.
async fn cursor_of_page(bench: &Bench<'_>) -> Result<String> {
    // Pages of a hundred lead there sooner; a page of ten begins where one of them ended.
    let mut path = "/users/?sort=last_name&limit=100&cursor=".to_owned();
    for _ in 0..PAGES / 10 {
        let page = bench.once(&get(&path, Some(&bench.token)), 200).await?;
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/users/?sort=last_name&limit=100&cursor={cursor}");
    }
    Ok(path.replace("limit=100", "limit=10"))
}

/// A name with two letters swapped.
fn slip(name: &str, random: &mut StdRng) -> String {
    let mut letters: Vec<char> = name.chars().collect();
    if letters.len() > 3 {
        let at = random.random_range(1..letters.len() - 1);
        letters.swap(at, at + 1);
    }
    letters.into_iter().collect()
}

fn three_filters(names: &Names, random: &mut StdRng) -> String {
    let mut filters: Vec<String> = Vec::new();
    while filters.len() < 3 {
        let days = random.random_range(1..900);
        let filter = match random.random_range(0..10) {
            0 => format!(
                "role={}",
                ["ANONYMOUS", "AUTHENTICATED", "MANAGER", "ADMIN"][random.random_range(0..4)]
            ),
            1 => format!(
                "status={}",
                ["verified", "unverified", "locked", "deleted"][random.random_range(0..4)]
            ),
            2 => format!("is_professional={}", random.random::<bool>()),
            3 => format!(
                "created_from={}",
                (chrono::Utc::now() - chrono::TimeDelta::days(days)).date_naive()
            ),
            4 => format!("inactive_for={days}d"),
            5 => format!(
                "locale={}",
                ["en", "de", "fr", "ja"][random.random_range(0..4)]
            ),
            6 => format!("first_name={}", names.first(random)),
            7 => format!(
                "last_name={}*",
                names.last(random).get(..3).unwrap_or("smi")
            ),
            8 => format!("email=*{}*", names.last(random).get(..3).unwrap_or("smi")),
            _ => format!(
                "last_login_to={}",
                (chrono::Utc::now() - chrono::TimeDelta::days(days)).date_naive()
            ),
        };
        let name = |filter: &str| filter.split('=').next().unwrap_or_default().to_owned();
        if filters.iter().all(|known| name(known) != name(&filter)) {
            filters.push(filter);
        }
    }
    let sorts = [
        "nickname",
        "-email",
        "first_name",
        "-last_name",
        "created_at",
        "-created_at",
        "last_login_at",
        "-last_login_at",
        "role,nickname",
        "last_name,first_name",
        "-is_professional,-created_at",
    ];
    let sort = sorts[random.random_range(0..sorts.len())];
    format!("/users/?{}&sort={sort}", filters.join("&"))
}

const INDEXES: [&str; 13] = [
    "users_search_idx",
    "users_search_words_idx",
    "users_email_order_idx",
    "users_first_name_idx",
    "users_middle_name_idx",
    "users_last_name_idx",
    "users_last_login_at_idx",
    "users_role_idx",
    "users_unverified_idx",
    "users_locked_idx",
    "users_professional_idx",
    "users_locale_idx",
    "users_login_before_creation_idx",
];

async fn sizes(database: &PgConnectOptions) -> Result<Vec<(String, f64)>> {
    let mut connection = PgConnection::connect_with(database).await?;
    let sizes: Vec<(String, i64)> = sqlx::query_as(
        "select relname::text, pg_total_relation_size(oid) from pg_class \
         where relname = any($1) or relname in ('users', 'search_words') order by relname",
    )
    .bind(&INDEXES[..])
    .fetch_all(&mut connection)
    .await?;
    connection.close().await?;
    let mebibytes = |bytes: i64| bytes as f64 / (1 << 20) as f64;
    Ok(sizes
        .into_iter()
        .map(|(name, bytes)| (name, mebibytes(bytes)))
        .collect())
}

/// What a committed write takes, in milliseconds: with the indexes and triggers of searches, and without.
async fn writes(database: &PgConnectOptions) -> Result<(f64, f64)> {
    let mut connection = PgConnection::connect_with(database).await?;
    let with = write(&mut connection, 0).await?;
    let drop = format!(
        "begin; drop index {}; drop trigger users_search_words_inserted on users; \
             drop trigger users_search_words_updated on users; \
             alter table users drop column search_words, drop column search_text; commit",
        INDEXES.join(", ")
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(drop))
        .execute(&mut connection)
        .await?;
    let without = write(&mut connection, WRITES).await?;
    connection.close().await.context("can't close")?;
    Ok((with, without))
}

/// Half of them new users, half changes of users.
async fn write(connection: &mut PgConnection, from: usize) -> Result<f64> {
    let began = Instant::now();
    for number in from..from + WRITES {
        let name = format!("written{number}");
        sqlx::query(
            "insert into users (id, nickname, email, password_hash, first_name, last_name, role, created_at, updated_at) \
             values (gen_random_uuid(), $1, $1 || '@example.com', 'x', 'Ada', $1, 'ANONYMOUS', now(), now())",
        )
        .bind(&name)
        .execute(&mut *connection)
        .await?;
        sqlx::query("update users set last_name = 'Lovelace', last_login_at = now() where lower(nickname) = $1")
            .bind(&name)
            .execute(&mut *connection)
            .await?;
    }
    let each = began.elapsed() / u32::try_from(2 * WRITES)?;
    Ok(Duration::as_secs_f64(&each) * 1_000.0)
}
