//! The works on sessions and their tokens.

use std::{cell::RefCell, fs};

use anyhow::{Context as _, Result, ensure};
use chrono::Utc;
use futures::future::try_join_all;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use tokio::time::sleep;
use user_management::{
    domain::id::SessionId,
    infra::{
        keys::PurposeKey,
        random::{Random, SystemRandom},
    },
    services::sessions::RefreshKey,
};
use uuid::Uuid;

use crate::{
    bench::Bench,
    client::{Connection, Load, get, post},
    report::{Figure, mebibytes},
    seed, server,
    work::{STATISTICS_LATE, transactions},
};

/// How many live sessions there are: one of each user.
const SESSIONS: usize = seed::USERS;
const CONNECTIONS: usize = 32;
const FORM: &str = "application/x-www-form-urlencoded";

impl Bench<'_> {
    /// `GET /me` by one access token.
    pub async fn me(&mut self) -> Result<()> {
        self.log_in().await?;
        let me = self.once(&get("/me", Some(&self.token)), 200).await?;
        ensure!(me["email"] == server::ADMIN, "not the administrator: {me}");
        let load = Load {
            connections: CONNECTIONS,
            request: &|| get("/me", Some(&self.token)),
            expected: &[200],
        };
        let other = server::database(self.directory)?.database("postgres");
        let mut connection = PgConnection::connect_with(&other).await?;
        sleep(STATISTICS_LATE).await;
        let before = transactions(&mut connection).await?;
        let measured = self.measure(&load).await?;
        sleep(STATISTICS_LATE).await;
        let queries = transactions(&mut connection).await? - before;
        connection.close().await?;
        let requests = measured.per_second * self.times.measurement.as_secs_f64();
        self.report.add(
            "GET /me",
            Some(&measured),
            &[
                Figure::at_most(measured.cpu.context("CPU time")?, 0.10, "ms CPU"),
                // What was looked up counts for a second.
                Figure::at_most(
                    1000.0 * queries as f64 / requests,
                    1.0,
                    "queries/1,000 requests",
                ),
            ],
        );
        Ok(())
    }

    /// Exchanges of refresh tokens, each of another session.
    pub async fn refresh(&mut self) -> Result<()> {
        let tokens = self.make_sessions().await?;
        let used = RefCell::new(tokens.iter().cycle());
        let next = || used.borrow_mut().next().map_or_else(Vec::new, exchange);
        let load = Load {
            connections: CONNECTIONS,
            request: &next,
            expected: &[200],
        };
        let measured = self.measure(&load).await?;
        self.report.add(
            "POST /login/ with a refresh token",
            Some(&measured),
            &[Figure::at_most(
                measured.cpu.context("CPU time")?,
                1.0,
                "ms CPU",
            )],
        );
        Ok(())
    }

    /// `GET /me` by the access tokens of 100,000 sessions in turn.
    pub async fn sessions(&mut self) -> Result<()> {
        let refresh_tokens = self.make_sessions().await?;
        let tokens = self.access_tokens(&refresh_tokens).await?;
        let used = RefCell::new(tokens.iter().cycle());
        let next = || {
            let token = used.borrow_mut().next().map(String::as_str);
            get("/me", token)
        };
        let load = Load {
            connections: CONNECTIONS,
            request: &next,
            expected: &[200],
        };
        // Once around at least, however slow the machine is.
        let mut rounds = Vec::new();
        let mut requests = 0.0;
        while requests < SESSIONS as f64 {
            let measured = self.measure(&load).await?;
            requests += measured.per_second * self.times.measurement.as_secs_f64();
            rounds.push(measured);
        }
        let memory = self.server.process().memory()?;
        self.report.add(
            "GET /me by 100,000 sessions in turn",
            rounds.last(),
            &[
                Figure::at_most(mebibytes(memory.resident), 80.0, "MiB RSS"),
                Figure::information(mebibytes(memory.anonymous), "MiB of it not of files"),
            ],
        );
        Ok(())
    }

    /// Gives each user one session, and answers their refresh tokens.
    async fn make_sessions(&self) -> Result<Vec<SecretString>> {
        let secret = fs::read_to_string(self.directory.join("data/secrets/jwt_secret_key"))
            .context("cannot read the server's secret")?;
        let secret = SecretString::from(secret.trim());
        let key = RefreshKey::new(PurposeKey::derive(&secret, "refresh token"));
        let random: &dyn Random = &SystemRandom;
        let now = Utc::now();
        let (mut ids, mut digests, mut tokens) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..SESSIONS {
            let id = SessionId(random.uuid_v7(now));
            let (token, digest) = key.first(id, random);
            ids.push(id.0);
            digests.push(digest.to_vec());
            tokens.push(token);
        }
        let mut connection = PgConnection::connect_with(&server::database(self.directory)?).await?;
        sqlx::query("delete from sessions")
            .execute(&mut connection)
            .await?;
        sqlx::query(
            "insert into sessions (id, user_id, user_agent, client_address, created_at, last_seen_at, \
               expires_at, refresh_digest) \
             select id, user_id, 'Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0', \
               '203.0.113.7', now(), now(), now() + interval '1 day', digest \
             from unnest($1::uuid[], $2::uuid[], $3::bytea[]) as made (id, user_id, digest)",
        )
        .bind(&ids)
        .bind(self.user_ids())
        .bind(&digests)
        .execute(&mut connection)
        .await
        .context("cannot make the sessions")?;
        sqlx::query("vacuum analyze sessions")
            .execute(&mut connection)
            .await?;
        connection.close().await?;
        Ok(tokens)
    }

    /// Exchanges every refresh token.
    async fn access_tokens(&self, refresh_tokens: &[SecretString]) -> Result<Vec<String>> {
        let share = refresh_tokens.len().div_ceil(CONNECTIONS);
        let shares = refresh_tokens.chunks(share).map(async |tokens| {
            let mut connection = Connection::open(self.server.address).await?;
            let mut made = Vec::new();
            for token in tokens {
                let answer = connection.exchange(&exchange(token)).await?;
                let body: Value = serde_json::from_slice(answer.body)?;
                let token = body["access_token"].as_str();
                made.push(
                    token
                        .with_context(|| format!("no token: {body}"))?
                        .to_owned(),
                );
            }
            anyhow::Ok(made)
        });
        Ok(try_join_all(shares).await?.concat())
    }

    /// The ids of the users, without the administrator.
    fn user_ids(&self) -> &[Uuid] {
        &self.ids[..SESSIONS]
    }
}

fn exchange(token: &SecretString) -> Vec<u8> {
    let form = format!(
        "grant_type=refresh_token&refresh_token={}",
        token.expose_secret()
    );
    post("/login/", FORM, &form)
}
