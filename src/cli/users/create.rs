//! `users create` and `users create-admin`.

use clap::Args;

use super::who::UserJson;
use crate::{
    cli::{
        options::{Wrong, wrong},
        output::Format,
        password,
        runtime::{Session, load_config},
    },
    domain::{
        email::Email,
        locale::Locale,
        nickname::Nickname,
        phone::{PhoneNumber, Region},
        profile::{PersonName, Profile},
        role::Role,
    },
    error::{Result, Rule},
    services::registration::Creation,
};

/// Whom.
#[derive(Debug, Args)]
pub(in crate::cli) struct Create {
    /// E-mail address.
    #[arg(long)]
    email: Option<String>,
    /// Phone number; without a country's code it is of the country of PHONE_DEFAULT_REGION.
    #[arg(long, value_name = "NUMBER")]
    phone: Option<String>,
    /// Public name; one is generated if none is given.
    #[arg(long)]
    nickname: Option<String>,
    /// ANONYMOUS, AUTHENTICATED, MANAGER or ADMIN, whose address counts as verified. Without it what follows from
    /// --verified.
    #[arg(long)]
    role: Option<String>,
    /// Given name.
    #[arg(long, value_name = "NAME")]
    first_name: Option<String>,
    /// Names between.
    #[arg(long, value_name = "NAME")]
    middle_name: Option<String>,
    /// Family name.
    #[arg(long, value_name = "NAME")]
    last_name: Option<String>,
    /// The language that the user wants, such as pt-BR.
    #[arg(long, value_name = "TAG")]
    locale: Option<String>,
    /// Count the address as verified: no mail asks for it.
    #[arg(long)]
    verified: bool,
    /// Read the password from the first line of standard input.
    #[arg(long)]
    password_stdin: bool,
    /// Mail a link by which the user sets a password, good for 7 days; it verifies the address too.
    #[arg(long, conflicts_with = "password_stdin")]
    invite: bool,
    #[command(flatten)]
    format: Format,
}

/// Whom.
#[derive(Debug, Args)]
pub(in crate::cli) struct CreateAdmin {
    /// E-mail address.
    email: String,
    /// Public name; one is generated if none is given.
    #[arg(long)]
    nickname: Option<String>,
    #[command(flatten)]
    format: Format,
}

pub(super) async fn create(options: Create) -> anyhow::Result<()> {
    let mut creation = options.read(load_config()?.accounts.phone_default_region)?;
    if !options.invite {
        if !options.password_stdin && !password::can_ask() {
            let how = "there is no terminal to ask at: give --password-stdin, or --invite";
            return Err(wrong("password", "missing", how).into());
        }
        creation.password = Some(password::read()?);
    }
    make(creation, options.format).await
}

pub(super) async fn create_admin(options: CreateAdmin) -> anyhow::Result<()> {
    let mut wrong = Wrong::default();
    let email = wrong.take("email", Email::parse(&options.email));
    let nickname = options.nickname.as_deref();
    let nickname = wrong.read("--nickname", nickname, Nickname::parse);
    let creation = Creation {
        email,
        phone_number: None,
        nickname,
        profile: Profile::default(),
        password: None,
        role: Some(Role::Admin),
        is_verified: true,
    };
    let creation = wrong.finish(creation)?;
    let creation = Creation {
        password: Some(password::read()?),
        ..creation
    };
    make(creation, options.format).await
}

async fn make(creation: Creation, format: Format) -> anyhow::Result<()> {
    let user = Session::with(async |session| {
        let registration = &session.app.services.registration;
        Ok(registration.create(&session.ctx, creation).await?)
    })
    .await?;
    let made = format!("{} {}\n", user.id, user.nickname);
    format.print(&UserJson::from(user), |_| made)
}

impl Create {
    fn read(&self, region: Region) -> Result<Creation> {
        let mut wrong = Wrong::default();
        let name = |wrong: &mut Wrong, option: &'static str, name: &Option<String>| {
            wrong.read(option, name.as_deref(), PersonName::parse)
        };
        let creation = Creation {
            email: wrong.read("--email", self.email.as_deref(), Email::parse),
            phone_number: wrong.read("--phone", self.phone.as_deref(), |text| {
                PhoneNumber::parse(text, region)
            }),
            nickname: wrong.read("--nickname", self.nickname.as_deref(), Nickname::parse),
            profile: Profile {
                first_name: name(&mut wrong, "--first-name", &self.first_name),
                middle_name: name(&mut wrong, "--middle-name", &self.middle_name),
                last_name: name(&mut wrong, "--last-name", &self.last_name),
                locale: wrong.read("--locale", self.locale.as_deref(), Locale::parse),
                ..Profile::default()
            },
            password: None,
            role: wrong.read("--role", self.role.as_deref(), role),
            is_verified: self.verified,
        };
        wrong.finish(creation)
    }
}

/// The role of this name.
pub(super) fn role(name: &str) -> Result<Role, Rule> {
    name.parse()
        .map_err(|_| Rule::one_of(&Role::ALL.map(Role::as_str)))
}
