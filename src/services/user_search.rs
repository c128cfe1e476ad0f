//! Searching users: lists for managers, suggestions, and the public directory.

mod total;
mod turns;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tracing::instrument;

use super::{Ctx, cursors::Cursors, platform::Platform, profiles::PublicProfile};
use crate::{
    domain::{
        page::Page,
        permission::Permission,
        user::User,
        user_order::{Place, UserOrder},
        user_search::{SearchText, UserFilter},
        user_selection::UserSelection,
    },
    error::{Error, FieldError, Result, Rule},
    repository::{
        user_search::{self, PageOf, Scope, Search, Word},
        users,
    },
};

use total::{Counting, total};
pub use total::{EXACT_UP_TO, Total};
use turns::Turns;

/// Most rows that a page of a filtered or sorted list may pass over: they are read before it. Cursors lead
/// farther.
pub const FARTHEST_SKIP: u32 = 10_000;

/// Which page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paging {
    /// By the number of rows before it; at most [`FARTHEST_SKIP`], but where everybody is listed.
    Skip(Page),
    /// By the cursor of another page, or the first one.
    Cursor {
        /// The cursor; none: the first page.
        cursor: Option<String>,
        /// Rows at most.
        limit: u32,
    },
}

/// A search for users.
#[derive(Debug, Clone, Default)]
pub struct UserQuery {
    /// Which.
    pub selection: UserSelection,
    /// In which order; the best match only with words.
    pub order: UserOrder,
    /// Whether they are counted one by one, however many there are.
    pub count_exactly: bool,
}

impl UserQuery {
    /// Whether everybody is asked for, in the order in which nothing else is said.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.selection == UserSelection::default() && self.order == UserOrder::default()
    }
}

/// A page of users.
#[derive(Debug, Clone)]
pub struct UserPage<T = User> {
    /// The users.
    pub items: Vec<T>,
    /// How many there are in all, as the first page found.
    pub total: Total,
    /// The number of this page, from 1.
    pub number: u64,
    /// The cursor of the next page, if there is one.
    pub next: Option<String>,
    /// The cursor of the previous page, if there is one and this one was found by a cursor.
    pub previous: Option<String>,
    /// The cursor of the last page.
    pub last: String,
}

/// What a cursor holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Mark {
    /// Where the page begins; none: at the beginning, or backwards at the end.
    after: Option<Place>,
    backwards: bool,
    /// The number of the page.
    number: u64,
    total: Total,
    /// The time of the first page: what is reckoned from now stays as it was then.
    now: DateTime<Utc>,
}

/// A page as it was read, before its cursors are made.
struct PageRead {
    users: Vec<(User, Place)>,
    total: Total,
    now: DateTime<Utc>,
    skip: u32,
    limit: u32,
    /// The cursor that led to it.
    mark: Option<Mark>,
    /// Whether there are more in the direction in which it was read.
    has_more: bool,
}

/// So many users are gathered and sorted in a few milliseconds.
const FEW_MATCHES: u64 = 5_000;

/// Searches users.
pub struct UserSearch {
    platform: Platform,
    cursors: Arc<Cursors>,
    turns: Turns,
}

impl UserSearch {
    /// The service on this database.
    pub fn new(platform: Platform, cursors: Arc<Cursors>) -> Self {
        Self {
            platform,
            cursors,
            turns: Turns::default(),
        }
    }

    /// A page of the users that are searched for.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`]; [`Error::Invalid`] for a cursor of another list, or too many rows to pass over.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn browse(&self, ctx: &Ctx, query: UserQuery, paging: Paging) -> Result<UserPage> {
        ctx.require(Permission::BrowseUsers)?;
        self.find(ctx, query, paging, Scope::Names).await
    }

    /// Those of whom somebody who types this most likely thinks, the best match first.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`].
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn suggest(&self, ctx: &Ctx, text: SearchText, limit: u32) -> Result<Vec<User>> {
        ctx.require(Permission::BrowseUsers)?;
        let _turn = self.turns.take(&ctx.actor, false).await?;
        let mut transaction = self.platform.pool.begin_with(user_search::BEGIN).await?;
        let words = words(&text, Scope::Names);
        let filter = UserFilter {
            text: Some(text),
            ..UserFilter::default()
        };
        let mut search = Search {
            filter: &filter,
            words,
            order: &UserOrder::BestMatch,
            everybody: users::count(&mut transaction).await?,
            gathered_up_to: FEW_MATCHES,
        };
        let page = PageOf {
            after: None,
            backwards: false,
            skip: 0,
            limit,
        };
        let found = user_search::find_page(&mut transaction, &mut search, page).await?;
        transaction.commit().await?;
        Ok(found.users.into_iter().map(|(user, _)| user).collect())
    }

    /// Public profiles by nickname, the best match first. Anybody may ask.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] for a cursor of another list.
    #[instrument(skip_all, fields(request_id = %ctx.request_id))]
    pub async fn directory(
        &self,
        ctx: &Ctx,
        text: SearchText,
        cursor: Option<String>,
        limit: u32,
    ) -> Result<UserPage<PublicProfile>> {
        let query = UserQuery {
            selection: UserSelection::of(UserFilter {
                text: Some(text),
                is_public: true,
                ..UserFilter::default()
            }),
            order: UserOrder::BestMatch,
            ..UserQuery::default()
        };
        let paging = Paging::Cursor { cursor, limit };
        let page = self.find(ctx, query, paging, Scope::Nickname).await?;
        Ok(UserPage {
            items: page.items.into_iter().map(PublicProfile::of).collect(),
            total: page.total,
            number: page.number,
            next: page.next,
            previous: page.previous,
            last: page.last,
        })
    }

    async fn find(
        &self,
        ctx: &Ctx,
        query: UserQuery,
        paging: Paging,
        scope: Scope,
    ) -> Result<UserPage> {
        let list = fingerprint(&query, scope);
        let (mark, skip, limit): (Option<Mark>, _, _) = match &paging {
            Paging::Skip(page) => (None, page.skip, page.limit),
            Paging::Cursor { cursor, limit } => {
                let mark = cursor.as_deref().map(|text| self.cursors.open(&list, text));
                (mark.transpose()?, 0, *limit)
            }
        };
        let now = mark.as_ref().map_or(ctx.now, |mark| mark.now);
        let filter = query.selection.at(now);
        if let (Paging::Skip(page), true) = (&paging, query.is_open()) {
            // One statement for what most ask for.
            let mut connection = self.platform.pool.acquire().await?;
            let listed = users::list(&mut connection, *page).await?;
            let total = Total {
                count: listed.total,
                is_estimate: false,
            };
            let places = listed.items.into_iter().map(|user| {
                let place = place_by_age(&user);
                (user, place)
            });
            let has_more = u64::from(skip) + u64::from(limit) < listed.total;
            return self.page(
                &list,
                PageRead {
                    users: places.collect(),
                    total,
                    now,
                    skip,
                    limit,
                    mark: None,
                    has_more,
                },
            );
        }
        if skip > FARTHEST_SKIP {
            let message = format!("must be at most {FARTHEST_SKIP} here; cursor leads farther");
            let rule = Rule {
                kind: "out_of_range",
                message: message.into(),
            };
            return Err(Error::invalid(FieldError::query("skip", rule)));
        }
        let is_public = matches!(scope, Scope::Nickname);
        let _turn = self.turns.take(&ctx.actor, is_public).await?;
        let mut transaction = self.platform.pool.begin_with(user_search::BEGIN).await?;
        let filter = user_search::with_implied_times(&mut transaction, filter).await?;
        let words = match &filter.text {
            Some(text) => words(text, scope),
            None => Vec::new(),
        };
        let mut search = Search {
            filter: &filter,
            words,
            order: &query.order,
            everybody: users::count(&mut transaction).await?,
            gathered_up_to: FEW_MATCHES,
        };
        let page = PageOf {
            after: mark.as_ref().and_then(|mark| mark.after.as_ref()),
            backwards: mark.as_ref().is_some_and(|mark| mark.backwards),
            skip,
            limit: limit + 1,
        };
        let mut found = user_search::find_page(&mut transaction, &mut search, page).await?;
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_more = found.users.len() > most;
        found.users.truncate(most);
        let total = match &mark {
            Some(mark) => mark.total,
            None => {
                let counting = Counting {
                    exactly: query.count_exactly,
                    skip,
                    has_more,
                };
                total(&mut transaction, &mut search, &found, counting).await?
            }
        };
        transaction.commit().await?;
        self.page(
            &list,
            PageRead {
                users: found.users,
                total,
                now,
                skip,
                limit,
                mark,
                has_more,
            },
        )
    }

    fn page(&self, list: &[u8], read: PageRead) -> Result<UserPage> {
        let PageRead {
            mut users,
            total,
            now,
            skip,
            limit,
            mark,
            has_more,
        } = read;
        let backwards = mark.as_ref().is_some_and(|mark| mark.backwards);
        if backwards {
            users.reverse();
        }
        let is_first = mark
            .as_ref()
            .is_none_or(|mark| mark.after.is_none() && !backwards);
        let is_last = backwards && mark.as_ref().is_some_and(|mark| mark.after.is_none());
        let number = mark
            .as_ref()
            .map_or(u64::from(skip / limit) + 1, |mark| mark.number);
        let seal = |after: Option<&Place>, backwards, number| {
            let mark = Mark {
                after: after.cloned(),
                backwards,
                number,
                total,
                now,
            };
            self.cursors.seal(&*self.platform.random, list, &mark)
        };
        let place = |user: Option<&(User, Place)>| user.map(|(_, place)| place.clone());
        let (first, last) = (place(users.first()), place(users.last()));
        let has_next = if backwards { !is_last } else { has_more };
        let has_previous = if backwards { has_more } else { !is_first };
        let next = last.filter(|_| has_next);
        let previous = first.filter(|_| has_previous);
        let last_number = total.count.div_ceil(u64::from(limit)).max(1);
        Ok(UserPage {
            next: next
                .map(|place| seal(Some(&place), false, number + 1))
                .transpose()?,
            previous: previous
                .map(|place| seal(Some(&place), true, number.saturating_sub(1).max(1)))
                .transpose()?,
            last: seal(None, true, last_number)?,
            items: users.into_iter().map(|(user, _)| user).collect(),
            total,
            number,
        })
    }
}

/// The words of a text.
pub(super) fn words(text: &SearchText, scope: Scope) -> Vec<Word> {
    let words = text.words().iter();
    words.map(|word| Word::new(word, scope)).collect()
}

/// What tells lists apart.
fn fingerprint(query: &UserQuery, scope: Scope) -> Vec<u8> {
    let UserQuery {
        selection,
        order,
        count_exactly: _,
    } = query;
    // However it was written.
    let (filter, inactive_for) = (&selection.filter, selection.inactive_for);
    let text = format!("{filter:?} {inactive_for:?} {order:?} {scope:?}");
    Sha256::digest(text).to_vec()
}

/// A user's place in the order in which users are listed where nothing else is said.
fn place_by_age(user: &User) -> Place {
    Place {
        tier: None,
        keys: vec![user.created_at.to_rfc3339()],
        id: user.id,
    }
}
