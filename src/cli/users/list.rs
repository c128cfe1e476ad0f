//! `users list` and `users show`.

use clap::Args;
use serde::Serialize;

use super::{
    filters::Filters,
    who::{UserJson, Who, state},
};
use crate::{
    cli::{
        options::Wrong,
        output::{self, Format, Table},
        runtime::Session,
    },
    domain::{email::Email, user::User, user_order::UserOrder},
    services::user_search::{Paging, Total, UserPage, UserQuery},
};

/// Most users of a list; `users export` has no limit.
const MOST: i64 = 1000;

/// Which, and in which order.
#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    filters: Filters,
    /// Up to three fields, such as role,-last_login_at: with - before it for descending order.
    #[arg(long, value_name = "FIELDS", allow_hyphen_values = true)]
    sort: Option<String>,
    /// Users at most, up to 1000.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=MOST))]
    limit: u32,
    /// The page that this cursor of another page leads to.
    #[arg(long, allow_hyphen_values = true)]
    cursor: Option<String>,
    #[command(flatten)]
    format: Format,
}

/// Whom.
#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
    #[command(flatten)]
    who: Who,
    #[command(flatten)]
    format: Format,
}

/// A list as programs read it.
#[derive(Serialize)]
struct Listed {
    items: Vec<UserJson>,
    total: u64,
    total_is_estimate: bool,
    /// Null on the last page.
    next_cursor: Option<String>,
}

pub(super) async fn list(options: List) -> anyhow::Result<()> {
    let mut wrong = Wrong::default();
    let selection = options.filters.read(&mut wrong);
    let order = wrong.read("--sort", options.sort.as_deref(), UserOrder::parse);
    let (selection, order) = wrong.finish((selection, order))?;
    let query = UserQuery {
        order: selection.in_order(order),
        selection,
        count_exactly: false,
    };
    let paging = Paging::Cursor {
        cursor: options.cursor,
        limit: options.limit,
    };
    let page = Session::with(async |session| {
        let users = &session.app.services.user_search;
        Ok(users.browse(&session.ctx, query, paging).await?)
    })
    .await?;
    let table = as_table(&page);
    let listed = Listed {
        items: page.items.into_iter().map(UserJson::from).collect(),
        total: page.total.count,
        total_is_estimate: page.total.is_estimate,
        next_cursor: page.next,
    };
    options.format.print(&listed, |_| table)
}

fn as_table(page: &UserPage) -> String {
    let head = [
        "ID",
        "NICKNAME",
        "EMAIL",
        "ROLE",
        "STATE",
        "CREATED",
        "LAST LOGIN",
    ];
    let mut table = Table::new(&head);
    for user in &page.items {
        table.row(row(user).each_ref().map(String::as_str));
    }
    let Total { count, is_estimate } = page.total;
    let about = if is_estimate { "about " } else { "" };
    let users = output::count(count, "users");
    let table = table.fitted();
    let mut text = format!("{table}{} of {about}{users}", page.items.len());
    if let Some(next) = &page.next {
        text += &format!("; the next ones: --cursor {next}");
    }
    text + "\n"
}

fn row(user: &User) -> [String; 7] {
    let email = user.email.as_ref().map_or("-", Email::as_str);
    [
        user.id.to_string(),
        user.nickname.to_string(),
        email.to_owned(),
        user.role.to_string(),
        state(user),
        output::time(Some(user.created_at)),
        output::time(user.last_login_at),
    ]
}

pub(super) async fn show(options: Show) -> anyhow::Result<()> {
    let (user, locked_out_until) = Session::with(async |session| {
        let user = options.who.find(session).await?;
        let login = &session.app.services.login;
        let until = login.find_lockout(&session.ctx, &user).await?;
        Ok((user, until))
    })
    .await?;
    let mut states = state(&user);
    if locked_out_until.is_some() {
        states = format!("locked out,{states}");
    }
    // What failed logins bring about is no part of the account: programs read its columns.
    options.format.print(&UserJson::from(user), |user| {
        let mut table = user.table();
        table.row(["state", &states]);
        if locked_out_until.is_some() {
            table.row(["locked_out_until", &output::time(locked_out_until)]);
        }
        table.to_string()
    })
}
