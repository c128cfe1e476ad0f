//! Who may do what: one exhaustive `match` on roles, and the rules of rank.

use super::role::Role;

/// Something that not everybody may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// List all users.
    BrowseUsers,
    /// See any user.
    ReadUser,
    /// Change a user of lower rank.
    EditUser,
    /// Give a user of lower rank another role.
    ChangeRole,
    /// Make a user.
    AddUser,
    /// Delete a user of lower rank.
    DeleteUser,
    /// Lock a user of lower rank.
    LockUser,
    /// Unlock a user of lower rank.
    UnlockUser,
    /// See the sessions of a user of lower rank.
    ListSessions,
    /// End the sessions of a user of lower rank.
    EndSessions,
    /// Ask whether a token is good.
    IntrospectTokens,
    /// See the keys of access tokens: for operators, at the command line.
    ListKeys,
    /// Rotate the keys of access tokens: for operators, at the command line.
    RotateKeys,
    /// Look at the database as a whole, empty it, take another one over: for operators, at the command
    /// line.
    ManageDatabase,
    /// Take back that a user of lower rank has deleted his account.
    RestoreUser,
    /// Read and verify the audit log.
    ReadAuditLog,
    /// Take all users away in a file.
    ExportUsers,
    /// The same with the hashes of their passwords: for operators, at the command line.
    ExportPasswordHashes,
    /// Say for a user that an address is his: for operators, at the command line.
    VouchForAddress,
    /// Set a user's password: for operators, at the command line.
    SetPassword,
    /// Make and change users as a file says.
    ImportUsers,
}

impl Permission {
    /// Every permission.
    pub const ALL: [Self; 21] = [
        Self::BrowseUsers,
        Self::ReadUser,
        Self::EditUser,
        Self::ChangeRole,
        Self::AddUser,
        Self::DeleteUser,
        Self::LockUser,
        Self::UnlockUser,
        Self::ListSessions,
        Self::EndSessions,
        Self::IntrospectTokens,
        Self::ListKeys,
        Self::RotateKeys,
        Self::ManageDatabase,
        Self::RestoreUser,
        Self::ReadAuditLog,
        Self::ExportUsers,
        Self::ExportPasswordHashes,
        Self::VouchForAddress,
        Self::SetPassword,
        Self::ImportUsers,
    ];
}

impl Role {
    /// Whether the role may do it at all; for what is done to a user, [`Role::outranks`] comes on
    /// top.
    #[must_use]
    pub fn grants(self, permission: Permission) -> bool {
        match permission {
            Permission::BrowseUsers
            | Permission::ReadUser
            | Permission::EditUser
            | Permission::ChangeRole
            | Permission::AddUser
            | Permission::DeleteUser
            | Permission::LockUser
            | Permission::UnlockUser
            | Permission::ListSessions
            | Permission::EndSessions => match self {
                Self::Anonymous | Self::Authenticated => false,
                Self::Manager | Self::Admin => true,
            },
            Permission::IntrospectTokens
            | Permission::RestoreUser
            | Permission::ReadAuditLog
            | Permission::ExportUsers
            | Permission::ImportUsers => self == Self::Admin,
            Permission::ListKeys
            | Permission::RotateKeys
            | Permission::ManageDatabase
            | Permission::ExportPasswordHashes
            | Permission::VouchForAddress
            | Permission::SetPassword => false,
        }
    }

    /// Whether one of this role may change, lock or delete a user of role `other`: one of lower
    /// rank; an administrator also another administrator.
    #[must_use]
    pub fn outranks(self, other: Self) -> bool {
        self == Self::Admin || self > other
    }

    /// Whether one of this role may give `role` to somebody: one below his own; an administrator
    /// any.
    #[must_use]
    pub fn may_grant(self, role: Self) -> bool {
        self == Self::Admin || self > role
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_and_permissions_are_as_decided() {
        let mut table = String::new();
        for permission in Permission::ALL {
            let granted: Vec<_> = Role::ALL
                .iter()
                .filter(|role| role.grants(permission))
                .map(|role| role.as_str())
                .collect();
            table += &format!("{permission:?}: {}\n", granted.join(" "));
        }
        for role in Role::ALL {
            let below: Vec<_> = Role::ALL
                .iter()
                .filter(|other| role.outranks(**other))
                .map(|role| role.as_str())
                .collect();
            table += &format!("{role} outranks: {}\n", below.join(" "));
        }
        insta::assert_snapshot!(table, @"
        BrowseUsers: MANAGER ADMIN
        ReadUser: MANAGER ADMIN
        EditUser: MANAGER ADMIN
        ChangeRole: MANAGER ADMIN
        AddUser: MANAGER ADMIN
        DeleteUser: MANAGER ADMIN
        LockUser: MANAGER ADMIN
        UnlockUser: MANAGER ADMIN
        ListSessions: MANAGER ADMIN
        EndSessions: MANAGER ADMIN
        IntrospectTokens: ADMIN
        ListKeys: 
        RotateKeys: 
        ManageDatabase: 
        RestoreUser: ADMIN
        ReadAuditLog: ADMIN
        ExportUsers: ADMIN
        ExportPasswordHashes: 
        VouchForAddress: 
        SetPassword: 
        ImportUsers: ADMIN
        ANONYMOUS outranks: 
        AUTHENTICATED outranks: ANONYMOUS
        MANAGER outranks: ANONYMOUS AUTHENTICATED
        ADMIN outranks: ANONYMOUS AUTHENTICATED MANAGER ADMIN
        ");
    }
}
