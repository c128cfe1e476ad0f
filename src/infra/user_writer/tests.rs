use super::*;
use crate::domain::{
    email::Email,
    id::UserId,
    nickname::Nickname,
    password::PasswordHash,
    phone::PhoneNumber,
    profile::{Bio, PersonName, Profile},
    role::Role,
    user::User,
};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn ada() -> ExportedUser {
    let created_at = at("2026-11-21T12:00:00.5Z");
    let user = User {
        id: UserId(Uuid::from_u128(7)),
        nickname: Nickname::parse("-ada-").unwrap(),
        email: Some(Email::parse("Ada@example.com").unwrap()),
        email_verified_at: Some(at("2026-11-21T13:00:00+01:00")),
        phone_number: Some(PhoneNumber::from_database("+14155552671".to_owned())),
        legacy_name: None,
        profile: Profile {
            first_name: Some(PersonName::parse("Ada \"Countess\", 🦊").unwrap()),
            last_name: Some(PersonName::parse("'=Lovelace").unwrap()),
            bio: Some(Bio::parse("=one\ntwo").unwrap()),
            ..Profile::default()
        },
        role: Role::Manager,
        is_professional: true,
        professional_status_updated_at: None,
        locked_at: None,
        deletion_due_at: None,
        last_login_at: None,
        created_at,
        updated_at: created_at,
        revision: 3,
    };
    ExportedUser {
        password_hash: Some(PasswordHash::new("$argon2id$v=19$…".to_owned())),
        ..ExportedUser::from(user)
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_table_has_a_head_and_a_row_for_each_user() {
    let writer = UserWriter::new(FileFormat::Csv, false);
    let head = text(writer.head());
    assert!(head.starts_with("id,nickname,email,"), "{head}");
    assert!(!head.contains("password_hash"), "{head}");
    let row = text(writer.lines(&[ada()]).unwrap());
    assert_eq!(
        row,
        "00000000-0000-0000-0000-000000000007,'-ada-,Ada@example.com,2026-11-21T12:00:00.000000Z,'+14155552671,,\
         \"Ada \"\"Countess\"\", 🦊\",,''=Lovelace,false,\"'=one\ntwo\",,,,,,MANAGER,true,,,,,\
         2026-11-21T12:00:00.500000Z,2026-11-21T12:00:00.500000Z,3,\r\n"
    );
    assert_eq!(
        head.matches(',').count() + 1,
        Column::EXPORTED.len() - 1,
        "one column is left out"
    );
}

#[test]
fn a_line_of_json_has_every_column_and_the_hash_where_it_is_asked_for() {
    for with_hashes in [true, false] {
        let writer = UserWriter::new(FileFormat::Ndjson, with_hashes);
        assert!(writer.head().is_empty());
        let lines = text(writer.lines(&[ada(), ada()]).unwrap());
        assert_eq!(lines.lines().count(), 2);
        let object: serde_json::Value =
            serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!(object["nickname"], "-ada-");
        assert_eq!(object["last_name"], "'=Lovelace");
        assert_eq!(object["bio"], "=one\ntwo");
        assert_eq!(object["phone_number"], "+14155552671");
        assert_eq!(object["is_professional"], true);
        assert_eq!(object["locked_at"], serde_json::Value::Null);
        assert_eq!(object["revision"], 3);
        assert_eq!(object.get("password_hash").is_some(), with_hashes);
        let names: Vec<_> = object.as_object().unwrap().keys().collect();
        let columns = Column::EXPORTED.iter();
        let expected = columns.filter(|column| with_hashes || **column != Column::PasswordHash);
        assert_eq!(names.len(), expected.count());
    }
}
